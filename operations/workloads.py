"""Workloads: the training programs, the user they run as, and the folder of their data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.known import ends_unknown, known
from gpurig.contract.limits import Limits
from gpurig.contract.promise import (
    Commands,
    Ended,
    drift,
    follows,
    holds,
    keeps,
    left_out,
    unknown,
)
from gpurig.contract.staged import private
from gpurig.contract.values import ABSENT, Absent
from gpurig.errors import GpurigError
from gpurig.facts.environments.environment import Content, Folder
from gpurig.facts.users.groups import GroupMembership
from gpurig.facts.workloads import FOLDER as ARCHIVED
from gpurig.facts.workloads import Archive, Archives
from gpurig.operations.shared import ownership
from gpurig.operations.shared.file import written
from gpurig.operations.shared.words import counted, few, those
from gpurig.settings.programs import OwnProgram
from gpurig.wheels import datasets
from gpurig.workloads.mnist import ARCHIVES

FOLDER = "/opt/gpurig/workloads"
OWN = f"{FOLDER}/own"
STATE = "/var/lib/gpurig"
DATA = f"{STATE}/datasets"
USER = "gpurig"

_HANDED = private("archive")  # on its way from the control machine


@cache
def _programs() -> dict[str, str]:
    """The programs by file name."""
    folder = files("gpurig.workloads")
    return {
        file.name: file.read_text()
        for file in folder.iterdir()
        if file.name.endswith(".py") and file.name != "__init__.py"
    }


def shipped_sums() -> dict[str, str]:
    """The SHA-256 of each program of this version of gpurig, by file name."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in _programs().items()}


@keeps("workloads.user")
def user(user: str) -> Commands:
    """
    Workloads have a user to run as, who is not root.

    + user: one of rig_users, who must exist, or gpurig's own system user, who is made
    """
    if known(GroupMembership, user=user, group="root") is not ABSENT:
        return holds(f"{user} exists")
    if user != USER:
        return unknown(f"user {user} does not exist; make the user, or remove it from rig_users")
    drift(actual=f"no user {USER}", wanted=f"user {USER}", will=f"make the system user {USER}")
    yield StringCommand(
        f"useradd --system --user-group --no-create-home --home-dir {DATA}"
        f" --shell /usr/sbin/nologin {USER}"
    )


@keeps("workloads.files")
def programs() -> Commands:
    """The training programs are those of this version of gpurig, and root's."""
    ownership.root_alone("workloads.folders", FOLDER)
    folder = known(Folder, path=FOLDER)
    there = folder["files"] if folder else {}
    sums = shipped_sums()
    differing = [name for name, checksum in sums.items() if there.get(name) != checksum]
    if not differing:
        return holds(f"{', '.join(sorted(sums))} in {FOLDER}")
    # Those that are missing first.
    told = _told(sorted(differing, key=lambda name: name in there), folder)
    drift(
        actual=told if there.keys() & sums.keys() else f"none in {FOLDER}",
        wanted="those of this version of gpurig",
        will=f"write {few(sorted(differing))} into {FOLDER}",
        leaves="other files there" if there.keys() - sums.keys() else "",
    )
    for name in differing:
        yield from written(f"{FOLDER}/{name}", _programs()[name])


def _told(names: Iterable[str], folder: Content | Absent) -> str:
    """How each of these files is not as it should be."""
    return ", ".join(f"{name} {_differs(name, folder)}" for name in names)


def _differs(name: str, folder: Content | Absent) -> str:
    if isinstance(folder, Absent) or name not in folder["files"]:
        return "is missing"
    owner, _, mode = folder["modes"].get(name, "").partition(" ")
    return f"has owner {owner}, mode {mode}, wanted root and 644" if owner else "differs"


@keeps("workloads.own")
def own(programs: tuple[OwnProgram, ...]) -> Commands:
    """
    The user's own training programs are as on the control machine, and root's.

    + programs: those that rig_workloads names, which could be read when the run began
    """
    ownership.root_alone("workloads.folders", OWN)
    folder = known(Folder, path=OWN)
    there = folder["files"] if folder else {}
    try:
        contents = {program.file: Path(program.path).read_bytes() for program in programs}
    except OSError as error:
        return unknown(f"{error.filename} cannot be read ({error.strerror})")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    differing = [name for name, checksum in sums.items() if there.get(name) != checksum]
    if not differing:
        return holds(f"{', '.join(sorted(contents))} in {OWN}")
    drift(
        actual=_told(differing, folder),
        wanted="those of the control machine",
        will=f"write {', '.join(differing)} into {OWN}",
        leaves="other files there" if there.keys() - sums.keys() else "",
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
    ownership.root_alone("workloads.folders", STATE)
    found = known(Archives, user=user)
    account = known(GroupMembership, user=user, group="root")
    there = found["files"] if found else {}
    wrong = {name: seems(there.get(name)) for name in ARCHIVES if not _is_original(name, there)}
    if not wrong:
        return holds(f"{len(ARCHIVES)} archives in {ARCHIVED}")
    actual = ", ".join(f"{name} {what}" for name, what in wrong.items())
    if not there:
        actual = "no archives"
    if account is ABSENT:
        return follows("workloads.user")
    closed = [name for name in wrong if name in there and _is_whole(name, there)]
    absent = [name for name in wrong if name not in closed]
    folder = _originals(mirror, seconds, actual) if absent else Path()
    steps = {
        f"copy {counted(len(absent), 'archive')} of MNIST": absent,
        f"let {user} read {counted(len(closed), 'archive')}": closed,
    }
    drift(
        actual=actual,
        wanted="the originals" if absent else f"{user} can read them",
        will=" and ".join(those(steps)),
        leaves="other files there" if there.keys() - ARCHIVES.keys() else "",
    )
    if found and (found["owner"] != user or closed):
        yield StringCommand("chown -hR", QuoteString(user), ARCHIVED)
    if closed:  # by the user: root follows no link that lies in a folder of somebody else's
        names = " ".join(f"{ARCHIVED}/{name}" for name in closed)
        yield StringCommand(
            "runuser -u", QuoteString(user), f"-- chmod u+rwx {ARCHIVED} && runuser -u",
            QuoteString(user), f"-- chmod u+r {names}",
        )  # fmt: skip
    for name in absent:
        yield from _handed_over(folder / name, user)


def _originals(mirror: str | None, seconds: int, actual: str) -> Path:
    """
    The control machine's folder with the archives; the operation ends where it cannot have them.

    + actual: what the host has instead, in words
    """
    try:
        return datasets.archives(mirror, seconds)
    except datasets.Unreached as error:
        # Said and left: neither an error nor a drift that no run could repair.
        left_out(
            "workloads.archives",
            f"{actual}; {error}. The programs look for the archives themselves",
        )
        raise Ended from error
    except GpurigError as error:
        ends_unknown(str(error))


def _is_original(name: str, there: Mapping[str, Archive]) -> bool:
    return name in there and _is_whole(name, there) and not there[name]["closed"]


def _is_whole(name: str, there: Mapping[str, Archive]) -> bool:
    return there[name]["sha256"] == ARCHIVES[name]


def _handed_over(file: Path, user: str) -> Commands:
    """One archive comes into the folder of a user, who writes it."""
    yield FileUploadCommand(BytesIO(file.read_bytes()), _HANDED)
    # Written by the user: root follows no link that lies in a folder of somebody else's.
    script = (
        f"mkdir -p {ARCHIVED} && cp {_HANDED} {ARCHIVED}/.{file.name}.new"
        f" && mv -fT {ARCHIVED}/.{file.name}.new {ARCHIVED}/{file.name}"
    )
    yield StringCommand(
        f"trap 'rm -f {_HANDED}' EXIT; chmod 644 {_HANDED} && runuser -u", QuoteString(user),
        "-- sh -c", QuoteString(script),
    )  # fmt: skip


def seems(archive: Archive | None) -> str:
    """What a file in an archive's place is."""
    if archive is None:
        return "is missing"
    if archive["closed"]:
        return "cannot be read by the user of the workloads"
    if archive["head"].startswith("3c"):
        return "is a web page"
    return "is truncated or changed" if archive["head"] == "1f8b" else "is not a gzip archive"


@keeps("workloads.data")
def data(user: str) -> Commands:
    """
    Data sets have a folder that the workloads' user may write to.

    + user: whose it is
    """
    ownership.root_alone("workloads.folders", STATE)
    folder, account = known(Folder, path=DATA), known(GroupMembership, user=user, group="root")
    if account is ABSENT:
        return follows("workloads.user")
    if folder and folder["owner"] == user and folder["mode"] == "755":
        return holds(f"{DATA} belongs to {user}")
    drift(
        actual=f"{DATA} is {folder['owner']}'s, mode {folder['mode']}" if folder else f"no {DATA}",
        wanted=f"{DATA} belongs to {user}, mode 755",
        will=f"give {DATA} to {user}" if folder else f"make {DATA}",
    )
    name = QuoteString(user)
    yield StringCommand(f"mkdir -p {DATA} && chown -R", name, DATA, f"&& chmod 755 {DATA}")
