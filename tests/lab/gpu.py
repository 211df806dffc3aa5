"""GPUs for hosts that have none: NVIDIA's mock of NVML, or a PCI listing that names one."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from .commands import run
from .errors import LabError, LabMissing

PROFILES = ("t4", "a100", "l40s", "h100", "b200")
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
CUDA_OF_BRANCH = {"535": "12.2", "550": "12.4"}  # what the real nvidia-smi of the branch prints


def profile(kit: Path, name: str, count: int, driver: str) -> str:
    """
    NVML's answers for COUNT GPUs of a kind under a driver version, as the mock's YAML.

    Cut and edited line by line: the file is the kit's, and no YAML parser is needed for it.
    """
    if name not in PROFILES:
        raise LabError(f"there is no GPU profile {name}; the lab has {', '.join(PROFILES)}")
    path = kit / "gpus" / f"{name}.yaml"
    if not path.exists():
        raise LabMissing(f"the GPU profile {path} is missing")
    head, _, rest = path.read_text().partition("\ndevices:\n")
    devices, _, tail = rest.partition("\n# ====")
    blocks = re.split(r"(?m)^(?=  - index:)", devices)
    comment, blocks = blocks[0], blocks[1:]
    if not 1 <= count <= len(blocks):
        raise LabError(f"the {name} profile has 1 to {len(blocks)} GPUs, not {count}")
    shown = _field(head, "driver_version")
    cuda = CUDA_OF_BRANCH.get(driver.partition(".")[0], _field(head, "cuda_version"))
    head = head.replace(f'"{_field(head, "nvml_version")}"', f'"12.{driver}"')
    head = head.replace(f'"{shown}"', f'"{driver}"')
    head = head.replace(
        f'cuda_version: "{_field(head, "cuda_version")}"', f'cuda_version: "{cuda}"'
    )
    major, minor = cuda.split(".")
    head = re.sub(r"(cuda_version_major: )\d+", rf"\g<1>{major}", head)
    head = re.sub(r"(cuda_version_minor: )\d+", rf"\g<1>{minor}", head)
    return f"{head}\ndevices:\n{comment}{''.join(blocks[:count])}\n# ===={tail}"


def pci_id(text: str) -> str:
    """The PCI id of a profile's GPU, as in ``rig_assume_gpu``: ``10de:2330``."""
    found = re.search(r"(?m)^ +device_id: 0x([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})", text)
    if not found:
        raise LabError("the GPU profile names no PCI device id")
    return f"{found[2]}:{found[1]}".lower()


def install(root: Path, kit: Path, text: str, driver: str) -> None:
    """
    Put the mock where the driver's packages put NVML, diverted so that they install around it.

    + root: the file system of a host that is not running
    """
    packed = kit / "libnvidia-ml.so.mock.xz"
    if not packed.exists():
        raise LabMissing(f"NVIDIA's mock of NVML, {packed}, is missing")
    library = LIBRARIES / f"nvidia/current/libnvidia-ml.so.{driver}"
    place = root / library
    place.parent.mkdir(parents=True, exist_ok=True)
    divert = ("dpkg-divert", "--quiet", "--local", "--add", "--rename")
    run("chroot", root, *divert, "--divert", f"/{library}.real", f"/{library}", what="divert NVML")
    with lzma.open(packed) as mock, place.open("wb") as out:
        shutil.copyfileobj(mock, out)
    config = root / LIBRARIES / "config/config.yaml"  # two folders above the library, then config/
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)


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


def _field(text: str, name: str) -> str:
    found = re.search(rf'(?m)^ +{name}: "([^"]+)"', text)
    if not found:
        raise LabError(f"the GPU profile has no {name}")
    return found[1]
