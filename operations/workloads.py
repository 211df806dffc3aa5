"""Workloads: the training programs, the user they run as, and the folder of their data."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.limits import Limits
from gpurig.contract.promise import drift, follows, holds, keeps, left_out, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.errors import GpurigError
from gpurig.facts.environments.environment import Folder
from gpurig.facts.users.groups import GroupMembership
from gpurig.facts.workloads import FOLDER as ARCHIVED
from gpurig.facts.workloads import Archive, Archives
from gpurig.operations.environments.environment import few
from gpurig.operations.shared import ownership
from gpurig.operations.shared.file import written
from gpurig.settings.programs import OwnProgram
from gpurig.wheels import datasets
from gpurig.workloads.mnist import ARCHIVES

Commands = Generator[StringCommand | FileUploadCommand, None, None]

FOLDER = "/opt/gpurig/workloads"
OWN = f"{FOLDER}/own"
STATE = "/var/lib/gpurig"
DATA = f"{STATE}/datasets"
USER = "gpurig"

_HANDED = "/run/gpurig-archive"  # on its way from the control machine


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
    if ownership.waits("workloads.folders", FOLDER):
        return
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
    actual = ", ".join([f"{n} is missing" for n in missing] + [f"{n} differs" for n in changed])
    drift(
        actual=actual if set(there) & set(sums) else f"none in {FOLDER}",
        wanted="as in this version",
        will=f"write {few(sorted(differing))} into {FOLDER}",
        leaves="other files there" if set(there) - set(sums) else "",
    )
    for name in differing:
        yield from written(f"{FOLDER}/{name}", _programs()[name])


@keeps("workloads.own")
def own(programs: tuple[OwnProgram, ...]) -> Commands:
    """
    The user's own training programs are as on the control machine, and root's.

    + programs: those that rig_workloads names, which could be read when the run began
    """
    if ownership.waits("workloads.folders", OWN):
        return
    folder = read(Folder, path=OWN)
    if isinstance(folder, Unknown):
        return unknown(folder.reason)
    there = {} if isinstance(folder, Absent) else folder["files"]
    try:
        contents = {program.file: Path(program.path).read_bytes() for program in programs}
    except OSError as error:
        return unknown(f"{error.filename} cannot be read any more ({error.strerror})")
    differing = [
        name for name, content in contents.items()
        if there.get(name) != hashlib.sha256(content).hexdigest()
    ]  # fmt: skip
    if not differing:
        return holds(f"{', '.join(sorted(contents))} in {OWN}")
    drift(
        actual=", ".join(f"{n} {'differs' if n in there else 'is missing'}" for n in differing),
        wanted="as on the control machine",
        will=f"write {', '.join(differing)} into {OWN}",
        leaves="other files there" if set(there) - set(contents) else "",
    )
    for name in differing:
        yield from written(f"{OWN}/{name}", contents[name])


@keeps("workloads.archives")
def archives(user: str, mirror: str | None, seconds: int = Limits.download) -> Commands:
    """
    The original archives of MNIST are there, as the control machine or a mirror has them.

    + user: who reads them, and whose they are
    + mirror: where the control machine looks; ``None``: in the original place
    + seconds: for downloading one of them

    Where it cannot have them, programs look for themselves, and take other data before they fail.
    """
    if ownership.waits("workloads.folders", STATE):
        return
    found, account = read(Archives), read(GroupMembership, user=user, group="root")
    for fact in (found, account):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    there = found["files"] if isinstance(found, dict) else {}
    wrong = {
        name: seems(there.get(name))
        for name, checksum in ARCHIVES.items()
        if name not in there or there[name]["sha256"] != checksum
    }
    if not wrong:
        return holds(f"{len(ARCHIVES)} archives in {ARCHIVED}")
    actual = ", ".join(f"{name} {what}" for name, what in wrong.items())
    if len(wrong) == len(ARCHIVES) and not there:
        actual = "no archives"
    if account is ABSENT:
        return follows("workloads.user")
    try:
        folder = datasets.archives(mirror, seconds)
    except datasets.Unreached as error:
        # Said and left: neither an error nor a drift that no run could repair.
        return left_out("workloads.archives", f"{actual}; {error}; programs look for themselves")
    except GpurigError as error:
        return unknown(str(error))
    drift(
        actual=actual,
        wanted="the originals",
        will=f"hand over {len(wrong)} archives of MNIST",
        leaves="other files there" if set(there) - set(ARCHIVES) else "",
    )
    owner = QuoteString(user)
    if isinstance(found, dict) and found["owner"] != user:
        yield StringCommand("chown -hR", owner, ARCHIVED)
    for name in wrong:
        yield FileUploadCommand(BytesIO((folder / name).read_bytes()), _HANDED)
        # Written by the user: root follows no link that lies in a folder of somebody else's.
        script = (
            f"mkdir -p {ARCHIVED} && cp {_HANDED} {ARCHIVED}/.{name}.new"
            f" && mv -fT {ARCHIVED}/.{name}.new {ARCHIVED}/{name}"
        )
        yield StringCommand(
            f"trap 'rm -f {_HANDED}' EXIT; chmod 644 {_HANDED} && runuser -u", owner,
            "-- sh -c", QuoteString(script),
        )  # fmt: skip


def seems(archive: Archive | None) -> str:
    """What a file in an archive's place is."""
    if archive is None:
        return "is missing"
    if archive["head"].startswith("3c"):
        return "is a web page"
    return "is truncated or changed" if archive["head"] == "1f8b" else "is no gzip archive"


@keeps("workloads.data")
def data(user: str) -> Commands:
    """
    Data sets have a folder that the workloads' user may write to.

    + user: whose it is
    """
    if ownership.waits("workloads.folders", STATE):
        return
    folder, there = read(Folder, path=DATA), read(GroupMembership, user=user, group="root")
    for fact in (folder, there):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if there is ABSENT:
        return follows("workloads.user")
    if isinstance(folder, dict) and folder["owner"] == user and folder["mode"] == "755":
        return holds(f"{DATA} is {user}'s")
    drift(
        actual=f"no {DATA}" if folder is ABSENT else f"{DATA} is {_owner(folder)}",
        wanted=f"{DATA} is {user}'s, mode 755",
        will=f"make {DATA}" if folder is ABSENT else f"give {DATA} to {user}",
    )
    name = QuoteString(user)
    yield StringCommand(f"mkdir -p {DATA} && chown -R", name, DATA, f"&& chmod 755 {DATA}")


def _owner(folder: object) -> str:
    return f"{folder['owner']}'s, mode {folder['mode']}" if isinstance(folder, dict) else "nobody's"
