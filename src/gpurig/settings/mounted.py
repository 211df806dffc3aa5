"""Folders of this machine that settings name, and the file systems that belong below them."""

from __future__ import annotations

import os
from pathlib import Path

from gpurig.contract.fstab import mount_points
from gpurig.errors import InputError
from gpurig.settings.table import Settings

FSTAB, MOUNTS = Path("/etc/fstab"), Path("/proc/self/mounts")


def refuse_unmounted(settings: Settings, where: str) -> None:
    """
    InputError where a setting names a path of this machine whose file system is not mounted.

    What was kept there is not seen, and what is put there now nobody sees once it is mounted.
    """
    named = {"cache": settings.cache, "data_mirror": settings.data_mirror}
    paths = [(name, path) for name, path in named.items() if path and path.startswith("/")]
    paths += [("images", image) for image in settings.images if image.startswith("/")]
    away = _points(FSTAB) - _points(MOUNTS) if paths else set()
    for name, path in paths:
        real = os.path.realpath(path)
        for point in away:
            if f"{real}/".startswith(f"{point}/"):
                what = f"{point} is not mounted, which /etc/fstab lists and {path} lies on"
                do = "mount it, or remove it from /etc/fstab"
                raise InputError("mount-gone", what, f"{where}, rig_{name}", do)


def _points(table: Path) -> set[str]:
    try:
        return mount_points(table.read_text(errors="surrogateescape").splitlines())
    except OSError:
        return set()
