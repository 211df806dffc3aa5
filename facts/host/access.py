"""Whose some files are, who may do what with them, and whether an ordinary user reads them."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.host.ownership import GUARD, NOBODY

# As that user: what it cannot read, and at the end that all was tried.
_TRIED = r"""for f do [ -r "$f" ] || echo "closed $f"; done; echo tried"""

_LOOK = rf"""
[ $# -gt 0 ] || {{ echo tried; exit 0; }}
stat -c 'is %u %U %a %A %n' -- "$@" || exit 4
find -L "$@" -maxdepth 0 -type f -exec awk '/gpurig/ && !seen[FILENAME]++ {{
    print "names " FILENAME }}' {{}} +
{NOBODY} sh -c {shlex.quote(_TRIED)} sh "$@" 2>/dev/null | while read -r word f; do
    echo "$word${{f:+ $f}}"
    [ "$word" != closed ] || way "$f" | while read -r uid owner bits mode step; do
        case $bits in d????????[xt]|[!d]*) ;; *) echo "shut $mode $step" ;; esac
    done
done
"""


class Place(TypedDict):
    """
    One file or folder.

    + kind: ``file``, ``folder``, ``link`` or ``other``; owner: ``root`` whatever uid 0 is called
    + mode: octal digits; names_gpurig: whether the word stands in it
    + readable: whether a user who has no account reads it
    + shut: the first folder before it that such a user cannot enter, as ``750 /etc/apt``; or empty
    """

    kind: str
    owner: str
    mode: str
    names_gpurig: bool
    readable: bool
    shut: str


_KINDS = {"-": "file", "d": "folder", "l": "link"}


class Access(Always[dict[str, Place]]):
    """
    How those of some files stand that are there, by path.

    + globs: absolute paths, which may have ``*``

    ``{"/etc/modprobe.d/gpurig-nvidia.conf": {"kind": "file", "owner": "root", "mode": "644",
    "names_gpurig": True, "readable": True, "shut": ""}}``
    """

    def command(self, globs: tuple[str, ...]) -> StringCommand:
        words = " ".join("*".join(map(shlex.quote, glob.split("*"))) for glob in globs)
        return framed(
            f"{GUARD}set --; for f in {words}; do"
            ' { [ -e "$f" ] || [ -L "$f" ]; } && set -- "$@" "$f"; done;' + _LOOK
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Place] | Unknown:
        if code:
            return Unknown("the modes of gpurig's files cannot be read")
        if "tried" not in lines:
            return Unknown("what users can read cannot be tried: setpriv does not run on this host")
        found: dict[str, Place] = {}
        closed = ""
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "is":
                uid, owner, mode, bits, path = rest.split(" ", 4)
                int(mode, 8)  # for its ValueError
                found[path] = Place(
                    kind=_KINDS.get(bits[0], "other"), owner="root" if uid == "0" else owner,
                    mode=mode, names_gpurig=False, readable=True, shut="",
                )  # fmt: skip
            elif word == "names":
                found[rest]["names_gpurig"] = True
            elif word == "closed":
                closed = rest
                found[rest]["readable"] = False
            elif word == "shut":
                found[closed]["shut"] = found[closed]["shut"] or rest
        return found
