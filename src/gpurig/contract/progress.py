"""How a command that takes minutes says how far it is: on a stream of its own, for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyinfra.api import StringCommand

from gpurig.contract.attended import Attended

FD = 3  # on which the command's shell writes its progress


class Told(StringCommand):
    """
    A command whose standard output is its progress and nothing else; see `on_its_own`.

    What it prints besides is on standard error. The lines of its standard output go to the screen:
    no log has them, and no answer.
    """


class AttendedAndTold(Attended, Told):
    """The same of a command that does not outlive its run."""


def on_its_own(script: str) -> str:
    """Shell: what the script writes on `FD` is on standard output, all else on standard error."""
    return f"{{ {script}; }} {FD}>&1 1>&2"


@dataclass(frozen=True)
class Progress:
    """
    How far a command is.

    + what: what is done now, ``Unpacking docker.io``, or what is counted, ``packages``
    + done, total: how many of how many; 0 of 0 where nothing is counted
    + size: bytes on disk so far; room: what they will be in the end; 0 where not known
    + percent: of the whole, 0 to 100; None where only `done` says it
    """

    what: str
    done: int = 0
    total: int = 0
    size: int = 0
    room: int = 0
    percent: float | None = None

    @classmethod
    def read(cls, line: str) -> Progress | None:
        """
        A line of apt's ``APT::Status-Fd`` or of `counted`; None for any other.

        apt's are ``dlstatus:3:12.5:Retrieving file 3 of 17`` and
        ``pmstatus:docker.io:40.0:Unpacking docker.io (amd64)``, where a package may be
        ``docker.io:amd64``.
        """
        kind, _, rest = line.strip().partition(":")
        if kind == "counted":
            return cls._counted(rest.split(":"))
        if kind not in ("dlstatus", "pmstatus"):
            return None
        for percent, what in _splits(rest):
            return cls(what, percent=percent)
        return None

    @classmethod
    def _counted(cls, parts: list[str]) -> Progress | None:
        what, *figures = parts
        if len(figures) != 4 or not all(one.isascii() and one.isdigit() for one in figures):
            return None
        done, total, size, room = (int(one[:18]) for one in figures)
        return cls(what, min(done, total), total, size, room)


def _splits(rest: str) -> list[tuple[float, str]]:
    """Where a number stands between two colons: before it the package, after it the words."""
    parts = rest.split(":")
    found = []
    for at in range(1, len(parts) - 1):
        try:
            percent = float(parts[at])
        except ValueError:
            continue
        if math.isfinite(percent):
            found.append((min(max(percent, 0.0), 100.0), ":".join(parts[at + 1 :])))
    return found


def counted(script: str, what: str, done: str, total: str, folder: str = "", room: int = 0) -> str:
    """
    Shell: the script, while lines on `FD` say how far it is, whenever that has changed.

    + what: what is counted, ``packages``
    + done: a command that prints how many there are; total: one, or a number
    + folder: whose size on disk is told, quoted; room: what it will be, in bytes
    """
    size = f"$(du -sk {folder} 2>/dev/null | cut -f 1)" if folder else "0"
    # The one that counts ends with the script, however that ends. What it starts must not hold
    # the command's streams open, nor write on them.
    return (
        f"{{ (seen=; all={total}; while sleep 1 >/dev/null 2>&1 {FD}>&- && kill -0 $$; do"
        f" now=$({done}); size={size};"
        f" now='{what}':$((now)):$((all)):$((${{size:-0}} * 1024)):{room};"
        f' [ "$now" = "$seen" ] || echo "counted:$now" >&{FD}; seen=$now; done) 2>/dev/null &'
        f" counter=$!; {{ {script}; }}; code=$?;"
        " kill $counter 2>/dev/null; wait $counter 2>/dev/null; [ $code = 0 ]; }"
    )
