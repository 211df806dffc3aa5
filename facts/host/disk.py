"""How much room the file systems have where gpurig puts things."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# df of the nearest folder that exists: that is the file system on which a path will be made.
_ROOM = r"""
do
    there=$path
    while [ ! -d "$there" ]; do
        case $there in /*/*) there=${there%/*} ;; *) there=/ ;; esac
    done
    printf 'path %s\n' "$path"
    LC_ALL=C df -Pk "$there" | tail -n 1
    LC_ALL=C df -Pi "$there" | tail -n 1
done
exit 0
"""

# Good enough to look for room: the key as people and tools write it, once in the file.
DATA_ROOT = (
    "[ ! -e /etc/docker/daemon.json ] ||"
    ' sed -n \'s/.*"data-root"[ \t]*:[ \t]*"\\(\\/[^"\\\\]*\\)".*/\\1/p\''
    " /etc/docker/daemon.json | head -n 1"
)
_LINE = re.compile(r".*?\s+(?:\d+|-)\s+(?:\d+|-)\s+(\d+|-)\s+(?:\d+%|-)\s+(/.*)")


class Room(TypedDict):
    """
    Room for a path.

    + mount: where its file system is mounted: paths with the same one share their room
    + free_bytes: for users other than root; free_inodes: ``None`` where there is no such limit
    """

    path: str
    mount: str
    free_bytes: int
    free_inodes: int | None


class Disk(Always[list[Room]]):
    """
    Free space for the system, the environments and Docker; a path need not exist yet.

    ``[{"path": "/boot", "mount": "/", "free_bytes": 85097000960, "free_inodes": 16353606}]``

    + venv_root: where environments are made
    + data_root: where Docker keeps images and containers, unless its daemon.json says so itself;
      the last one of the list
    """

    def command(
        self, venv_root: str = "/opt/gpurig/venvs", data_root: str = "/var/lib/docker"
    ) -> StringCommand:
        own = (QuoteString(venv_root), QuoteString(data_root))
        found = f'; docker=$({DATA_ROOT}); set -- "$1" "${{docker:-$2}}";'
        loop = 'for path in / /boot /var /tmp "$@"'
        return framed(StringCommand("set --", *own, found, loop, _ROOM))

    def parse(self, lines: list[str], code: int) -> list[Room] | Unknown:
        rooms: list[Room] = []
        for path, blocks, inodes in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            space, count = _LINE.fullmatch(blocks), _LINE.fullmatch(inodes)
            if not path.startswith("path /") or not space or not count:
                return Unknown(f"df printed {blocks} and {inodes} for {path}")
            rooms.append(
                {
                    "path": path.removeprefix("path "),
                    "mount": space[2],
                    "free_bytes": int(space[1]) * 1024,
                    "free_inodes": None if count[1] in ("-", "0") else int(count[1]),
                }
            )
        return rooms or Unknown("df did not answer")
