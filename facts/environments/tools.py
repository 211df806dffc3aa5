"""What gpurig brings for itself, asked for its version if root alone can change it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.host.ownership import GUARD


class Tool(TypedDict):
    """
    A program that gpurig brings.

    + version: as it says itself; open: why it was not asked: what others than root can change
    + closed: what of it users cannot read, where they must
    """

    version: str
    open: str
    closed: str


class Tools(Fact[Tool]):
    """
    uv in gpurig's tools environment; ABSENT where it does not answer.

    + path: the environment's folder

    ``{"version": "0.13.9", "open": "", "closed": ""}``
    """

    def command(self, path: str) -> StringCommand:
        return framed(f"{GUARD}{asked(path, f'{path}/bin/uv', '--version')}")

    def parse(self, lines: list[str], code: int) -> Tool | Absent | Unknown:
        return tool(lines, code, lambda line: line.split()[1])


def asked(folder: str, program: str, words: str, closed: bool = False) -> str:
    """
    Shell that asks a program of gpurig's something, if root alone can change it; see `tool`.

    + folder: what it consists of lies in there; program: its path; words: its arguments, for sh
    + closed: whether users must be able to read all of it as well
    """
    where, parent = shlex.quote(folder), shlex.quote(folder.rpartition("/")[0])
    stop = "open*|closed*" if closed else "open*"
    return (
        f'w=$(guarded {parent}); [ -z "$w" ] || {{ echo "$w"; exit 4; }};'
        f' [ -d {where} ] || exit 3; w=$(within {where}); [ -z "$w" ] || echo "$w";'
        f" case $w in unseen*) exit 4 ;; {stop}) exit 5 ;; esac;"
        f" w=$(guarded {shlex.quote(program)});"
        f' [ -z "$w" ] || {{ echo "$w"; exit 4; }}; {shlex.quote(program)} {words} 2>/dev/null'
        f" || {{ s=$?; [ $s != 137 ] || unread {shlex.quote(program.rpartition('/')[2])} 137;"
        " exit $s; }"
    )


def tool(lines: list[str], code: int, version: Callable[[str], str]) -> Tool | Absent | Unknown:
    """What `asked` printed; `version` finds the version in what the program said last."""
    if code == 4 and lines:
        return Unknown(lines[-1].removeprefix("unseen "))
    if code == 5 and lines:
        word, _, said = lines[-1].partition(" ")
        closed, opened = (said, "") if word == "closed" else ("", said)
        return Tool(version="", open=opened, closed=closed)
    if code or not lines:
        return ABSENT
    return Tool(version=version(lines[-1]), open="", closed="")
