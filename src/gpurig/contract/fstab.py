"""The mount points of a table in the form of fstab(5), as /etc/fstab and /proc/self/mounts are."""

from __future__ import annotations

import re
from collections.abc import Iterable


def mount_points(lines: Iterable[str]) -> set[str]:
    """Without the root, and without those that the table says are not mounted by themselves."""
    rows = [line.split() for line in lines if not line.lstrip().startswith("#")]
    found = {
        row[1].rstrip("/")
        for row in rows
        if len(row) > 2 and row[2] != "swap" and not _by_hand("".join(row[3:4]))
    }
    return {_decoded(point) for point in found if point.startswith("/")}


def _by_hand(options: str) -> bool:
    """Whether only a person mounts it; systemd mounts it when something looks into it, if told."""
    return "noauto" in options.split(",") and "systemd.automount" not in options


def _decoded(point: str) -> str:
    """Blanks, tabs and backslashes are written as three octal digits."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda octal: chr(int(octal[1], 8)), point)
