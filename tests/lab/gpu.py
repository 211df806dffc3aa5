"""GPUs for hosts that have none: an NVML that answers, or a PCI listing that names one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from .commands import run
from .errors import LabError

LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
REAL_LISTING = Path("/sys/bus/pci/devices")
LISTING_ARGUMENTS = ("systemd.wants=lab-pci.service",)
# nspawn mounts /sys after its binds, so the host's own systemd lays the listing over the real one.
LISTING_UNIT = """\
[Unit]
Description=The lab's PCI listing
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --bind /run/lab-pci /sys/bus/pci/devices
"""


def install(root: Path, library: bytes, driver: str) -> None:
    """
    Put NVML where the driver's packages put it, diverted so that they install around it.

    + root: the file system of a host that is not running
    """
    path = LIBRARIES / f"nvidia/current/libnvidia-ml.so.{driver}"
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    divert = ("dpkg-divert", "--quiet", "--local", "--add", "--rename")
    run("chroot", root, *divert, "--divert", f"/{path}.real", f"/{path}", what="divert NVML")
    place.write_bytes(library)


def device_nodes(folder: Path, count: int) -> dict[str, Path]:
    """The driver's device nodes for COUNT GPUs, made in a folder, by their place in the host."""
    numbers = {f"nvidia{index}": (195, index) for index in range(count)}
    numbers |= {"nvidiactl": (195, 255), "nvidia-uvm": (510, 0), "nvidia-uvm-tools": (510, 1)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (major, minor) in numbers.items():
        os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        (folder / name).chmod(0o666)
    return {f"/dev/{name}": folder / name for name in numbers}


def listing(folder: Path, ids: Sequence[str]) -> dict[str, Path]:
    """
    A PCI listing with this machine's own devices and one more for each id (``10de:2330``).

    The host's systemd lays it over ``/sys/bus/pci/devices`` at every boot.
    """
    devices, unit = folder / "devices", folder / "lab-pci.service"
    devices.mkdir(parents=True)
    unit.write_text(LISTING_UNIT)
    for real in REAL_LISTING.iterdir() if REAL_LISTING.is_dir() else []:
        (devices / real.name).symlink_to(os.readlink(real))
    for position, wanted in enumerate(ids):
        found = re.fullmatch(r"([0-9a-f]{4}):([0-9a-f]{4})", wanted.lower())
        if not found:
            raise LabError(f"{wanted} is no PCI id; it looks like 10de:2330")
        vendor, device = found.groups()
        entry = devices / f"0000:{0x81 + position:02x}:00.0"
        entry.mkdir()
        files = {
            "vendor": f"0x{vendor}",
            "device": f"0x{device}",
            "class": "0x030200",  # 3D controller, as data centre GPUs say
            "revision": "0xa1",
            "subsystem_vendor": f"0x{vendor}",
            "subsystem_device": "0x16c1",
        }
        for name, value in files.items():
            (entry / name).write_text(f"{value}\n")
    return {"/run/lab-pci": devices, "/run/systemd/system/lab-pci.service": unit}
