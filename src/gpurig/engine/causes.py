"""Why something failed on a host, where it is what ails hosts most often: told before all else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from gpurig.contract.fact import read
from gpurig.contract.values import Unknown
from gpurig.facts.host.trouble import Found, Place, Trouble
from gpurig.operations.shared.apt_get import LOCK_SECONDS

MB = 1000**2
HOUR = 3600

_PATH = re.compile(r"(?<![\w/.:-])(/(?!/)[\w./+@-]+)")
_SPACE = re.compile("No space left on device|enough free space|Disk quota exceeded", re.I)
_FORBIDDEN = re.compile("Operation not permitted|Permission denied")
_LOCKED = re.compile("Could not get lock|Unable to (acquire|lock)|is locked|lock is held", re.I)
# What apt says when it does not get something, and what follows from lists that are not fresh.
_FETCHED = re.compile(
    "Failed to fetch|Unable to fetch|cannot be downloaded|cannot fetch|does not get|not connect"
    "|Unable to connect|would remove|Unable to locate|no installation candidate|was not found"
    "|error sending request|[Tt]imed out|resolve host|resolv"
)
# It has a proxy of its own, and says itself which of the environment's does not answer.
_APT = re.compile(r"^E: |\bapt\b", re.M)
_STUCK = re.compile("unmet dependencies|apt cannot do it|would remove", re.I)
_HELD = re.compile("held broken|held back|on hold|held packages", re.I)


def paths(lines: Sequence[str], command: str = "") -> tuple[str, ...]:
    """The files that a program's last words name, and its command first; and their folders."""
    said = [path for line in lines for path in _PATH.findall(line)][-4:]
    named = [path.rstrip("/.") for path in (*said, *_PATH.findall(command)[:2])]
    both = [one for path in named for one in (path, path.rpartition("/")[0]) if one]
    return tuple(dict.fromkeys(both))


def looked(lines: Sequence[str], command: str) -> list[str]:
    """What ails the current host, where something has failed: the one look costs a round trip."""
    with suppress(Exception):  # the failure is what is told, whatever becomes of this
        found = read(Trouble, paths=paths(lines, command))
        return [] if isinstance(found, Unknown) else causes(found, lines)
    return []


def causes(found: Found, lines: Sequence[str], now: float | None = None) -> list[str]:
    """
    Sentences that say why, each with what to do; none where nothing of this ails the host.

    + lines: what the program that failed has printed; now: this machine's clock
    """
    text = "\n".join(lines)
    told = [*_clock(found["clock"], time.time() if now is None else now)]
    told += _space(found["rooms"], text)
    if _FORBIDDEN.search(text):
        told += [f"{one} is immutable; run chattr -i {one}" for one in found["immutable"]]
    if found["locks"] and _LOCKED.search(text):
        told.append(
            f"another program has apt's lock: {', '.join(found['locks'])};"
            f" gpurig waited {LOCK_SECONDS} s for it"
        )
    if _FETCHED.search(text):
        told += [
            f"the proxy {one['place']} does not answer"
            f" ({one['key']}{' in ' + one['file'] if one['file'] else ''})"
            for one in found["proxies"]
            if one["file"] or not _APT.search(text)
        ]
    told += _holds(found["holds"], text)
    return list(dict.fromkeys(told))


def _clock(clock: int, now: float) -> Iterator[str]:
    if clock and abs(clock - now) > HOUR:
        theirs, ours = (f"{_utc(one):%Y-%m-%d %H:%M}" for one in (clock, now))
        yield f"the host's clock says {theirs} and this machine's {ours} UTC; set the wrong one"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _space(rooms: list[Place], text: str) -> Iterator[str]:
    """File systems that are full; where a program says so, also the one that it writes to."""
    named = {_mount(rooms, path) for path in _PATH.findall(text)} if _SPACE.search(text) else set()
    for room in rooms:
        mount = room["mount"]
        if room["free_inodes"] == 0:
            yield f"{mount} has no inodes left; remove files there"
        elif room["free_bytes"] < MB:
            yield f"{mount} is full; free disk space there"
        elif mount in named:
            yield f"{mount} has {room['free_bytes'] / MB:.0f} MB free; free disk space there"


def _mount(rooms: list[Place], path: str) -> str:
    """The file system that a path is on, by where it is mounted."""
    above = [one["mount"] for one in rooms if f"{path}/".startswith(f"{one['mount'].rstrip('/')}/")]
    return max(above, key=len, default="")


def _holds(holds: list[str], text: str) -> Iterator[str]:
    """Those that a program names; all where it says that it is holds, and names none."""
    said = bool(_HELD.search(text))
    if not (said or _STUCK.search(text)):
        return
    named = [one for one in holds if re.search(rf"(?<![\w.+-]){re.escape(one)}(?![\w+-])", text)]
    if which := named or (holds if said else []):
        yield f"{', '.join(which)} is on hold; run apt-mark unhold to let gpurig move it"
