"""
What programs left in their folder on a host: listed, or read to the control machine.

Runs there as the user, beside the folder ``work``, and stands alone. It tells JSON lines: each new
file with its size, and with ``read`` its content in pieces. Links, and what Python makes again, are
not results.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Iterator

PIECE = 96 * 1024  # bytes; as base64 they fit a line of the guard's


def new(folder: str, sent: dict[str, list[int]]) -> Iterator[tuple[str, os.stat_result]]:
    """The files that are not as they were sent."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), folder)
            found = os.lstat(os.path.join(folder, path))
            if stat.S_ISREG(found.st_mode) and sent.get(path) != [found.st_size, found.st_mtime_ns]:
                yield path, found


def tell(**what: object) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


def main(words: list[str]) -> None:
    """With ``list`` or ``read``."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "sent.json"), encoding="utf-8") as file:
        sent = json.load(file)
    work = os.path.join(here, "work")
    if words == ["list"]:
        tell(first=os.path.exists(os.path.join(here, "first")))
        for name in ("home", "tmp"):
            sizes = [found.st_size for _, found in new(os.path.join(here, name), {})]
            tell(beside=name, files=len(sizes), size=sum(sizes))
    for path, found in new(work, sent):
        tell(file=path, size=found.st_size, runs=bool(found.st_mode & 0o100))
        if words == ["read"]:
            with open(os.path.join(work, path), "rb") as data:
                while piece := data.read(PIECE):
                    tell(data=base64.b64encode(piece).decode())
            tell(done=path)


if __name__ == "__main__":
    main(sys.argv[1:])
