"""Run by a host's Python: a folder that was built beside its place takes that place in one step."""

import ctypes
import os
import sys
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def rewrite(new: Path, path: Path) -> None:
    """The final path stands where virtualenv wrote the one it was given; uv's scripts name none."""
    for file in [new / "pyvenv.cfg", *(new / "bin").iterdir()]:
        if file.is_symlink() or not file.is_file():
            continue
        text = file.read_bytes()
        if b"\0" not in text and bytes(new) in text:
            file.write_bytes(text.replace(bytes(new), bytes(path)))


def swap(new: Path, path: Path) -> None:
    """`new` is at `path` and what was at `path`, if anything, at `new`."""
    if not os.path.lexists(path):
        os.rename(new, path)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not libc.renameat2(AT_FDCWD, bytes(new), AT_FDCWD, bytes(path), RENAME_EXCHANGE):
        return
    # A file system that cannot exchange two names (NFS): two steps, the least that there are.
    aside = new.with_suffix(".out")
    os.rename(path, aside)
    os.rename(new, path)
    os.rename(aside, new)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    {"rewrite": rewrite, "swap": swap}[what](*map(Path, paths))
