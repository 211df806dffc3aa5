"""The disk that bases, snapshots and hosts lie on: copies on it share what they have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .commands import run

LIMIT = 80 << 30  # bytes; the image is sparse and takes what is used


def mount(folder: Path) -> None:
    """
    Make ``folder/disk`` a place where ``cp --reflink`` copies without copying.

    On a file system that cannot, this is an XFS in a sparse image; where that cannot be mounted
    either, it stays a plain folder: copies then cost their full size, and all else is the same.
    """
    disk, image = folder / "disk", folder / "disk.img"
    disk.mkdir(parents=True, exist_ok=True)
    if disk.is_mount() or shares_copies(disk):
        return
    if not image.exists():
        if any(disk.iterdir()):
            return  # a plain folder it was, a plain folder it stays
        partial = folder / "disk.partial"
        partial.unlink(missing_ok=True)
        with partial.open("wb") as empty:
            empty.truncate(min(LIMIT, shutil.disk_usage(folder).free * 8 // 10))
        run("mkfs.xfs", "-q", "-m", "reflink=1", partial, what="make the lab's disk")
        partial.rename(image)
    mounting = ["mount", "-o", "loop,noatime,discard", str(image), str(disk)]
    subprocess.run(mounting, check=False, capture_output=True)


def unmount(folder: Path) -> None:
    """Take the disk away; what lies on it stays in its image."""
    if (folder / "disk").is_mount():
        run("umount", "--lazy", folder / "disk", what="unmount the lab's disk")


def shares_copies(folder: Path) -> bool:
    """Whether copies in this folder share their content."""
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    copy = ["cp", "--reflink=always", name, f"{name}.copy"]
    shares = subprocess.run(copy, check=False, capture_output=True).returncode == 0
    for file in (name, f"{name}.copy"):
        Path(file).unlink(missing_ok=True)
    return shares
