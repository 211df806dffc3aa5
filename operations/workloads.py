"""Workloads: the training programs, the user they run as, and the folder of their data."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from functools import cache
from importlib.resources import files

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.fact import read
from gpurig.facts.environment import Folder
from gpurig.facts.users import GroupMembership
from gpurig.operations.file import written
from gpurig.promise import drift, follows, holds, keeps, unknown
from gpurig.values import ABSENT, Absent, Unknown

Commands = Generator[StringCommand | FileUploadCommand, None, None]

FOLDER = "/opt/gpurig/workloads"
DATA = "/var/lib/gpurig/datasets"
USER = "gpurig"


@cache
def _programs() -> dict[str, str]:
    """The programs by file name."""
    folder = files("gpurig.workloads")
    return {
        file.name: file.read_text()
        for file in folder.iterdir()
        if file.name.endswith(".py") and file.name != "__init__.py"
    }


@keeps("workloads.user")
def user(user: str) -> Commands:
    """
    Workloads have a user to run as, who is not root.

    + user: one of rig_users, who must exist, or gpurig's own system user, who is made
    """
    there = read(GroupMembership, user=user, group="root")
    if isinstance(there, Unknown):
        return unknown(there.reason)
    if there is not ABSENT:
        return holds(f"{user} exists")
    if user != USER:
        return unknown(f"there is no user {user}; make the account or take it out of rig_users")
    drift(actual=f"no user {USER}", wanted=f"user {USER}", will=f"make the system user {USER}")
    yield StringCommand(
        f"useradd --system --user-group --no-create-home --home-dir {DATA}"
        f" --shell /usr/sbin/nologin {USER}"
    )


@keeps("workloads.files")
def programs() -> Commands:
    """The training programs are those of this version of gpurig, and root's."""
    folder = read(Folder, path=FOLDER)
    if isinstance(folder, Unknown):
        return unknown(folder.reason)
    there = {} if isinstance(folder, Absent) else folder["files"]
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in _programs().items()}
    differing = [name for name, checksum in sums.items() if there.get(name) != checksum]
    if not differing:
        return holds(f"{', '.join(sorted(sums))} in {FOLDER}")
    missing = [name for name in differing if name not in there]
    changed = [name for name in differing if name in there]
    drift(
        actual=", ".join([f"{n} is missing" for n in missing] + [f"{n} differs" for n in changed]),
        wanted="as in this version",
        will=f"write {', '.join(differing)} into {FOLDER}",
        leaves="other files there" if set(there) - set(sums) else "",
    )
    for name in differing:
        yield from written(f"{FOLDER}/{name}", _programs()[name])


@keeps("workloads.data")
def data(user: str) -> Commands:
    """
    Data sets have a folder that the workloads' user may write to.

    + user: whose it is
    """
    folder, there = read(Folder, path=DATA), read(GroupMembership, user=user, group="root")
    for fact in (folder, there):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if there is ABSENT:
        return follows("workloads.user")
    if isinstance(folder, dict) and folder["owner"] == user:
        return holds(f"{DATA} is {user}'s")
    drift(
        actual=f"no {DATA}" if folder is ABSENT else f"{DATA} is {_owner(folder)}'s",
        wanted=f"{DATA} is {user}'s",
        will=f"make {DATA}" if folder is ABSENT else f"give {DATA} to {user}",
    )
    name = QuoteString(user)
    yield StringCommand(f"mkdir -p {DATA} && chown -R", name, DATA, f"&& chmod 755 {DATA}")


def _owner(folder: object) -> str:
    return str(folder["owner"]) if isinstance(folder, dict) else "nobody"
