"""NVML for a host without a GPU: built once by gcc, with what it answers at the end of the file."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..commands import run
from ..errors import LabError

SOURCE = Path(__file__).with_name("nvml.c")
CUDA_OF_BRANCH = {"535": "12020", "550": "12040"}  # what the real nvidia-smi of the branch prints
SONAME = "libnvidia-ml.so.1"


@dataclass(frozen=True)
class Kind:
    """One kind of GPU, as NVML describes it; ids as ``vendor:device``, memory in bytes."""

    name: str
    uuid: str
    pci: str
    subsystem: str
    memory: int
    capability: str
    mig: bool


KINDS = {
    "h100": Kind(
        "NVIDIA H100 80GB HBM3", "GPU-01000100-0000-0000-0000-", "10de:2330", "10de:16c1",
        85899345920, "9.0", True,
    ),
}  # fmt: skip


def kind(name: str) -> Kind:
    """The kind of GPU of this name."""
    if name not in KINDS:
        raise LabError(f"there is no GPU {name}; the lab has {', '.join(KINDS)}")
    return KINDS[name]


def library(cache: Path, name: str, count: int, driver: str) -> bytes:
    """
    The shared object for COUNT GPUs of a kind under a driver version.

    + cache: the folder where what gcc made is kept
    """
    this = kind(name)
    if not 1 <= count <= 16:
        raise LabError(f"a host has 1 to 16 GPUs, not {count}")
    vendor, device = this.pci.split(":")
    subsystem = "".join(reversed(this.subsystem.split(":")))
    answers = {
        "gpus": count,
        "driver": driver,
        "cuda": CUDA_OF_BRANCH.get(driver.partition(".")[0], "12040"),
        "name": this.name,
        "uuid": this.uuid,
        "pci": f"0x{device}{vendor}",
        "subsystem": f"0x{subsystem}",
        "memory": this.memory,
        "capability": this.capability.replace(".", ""),
    } | ({"mig": 0} if this.mig else {})
    lines = "".join(f"{key} {value}\n" for key, value in answers.items())
    return _compiled(cache).read_bytes() + f"GPURIG-LAB\n{lines}".encode()


def _compiled(cache: Path) -> Path:
    built = cache / f"nvml-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if not shutil.which("gcc"):
            raise LabError("NVML cannot be built: gcc is not installed")
        partial = built.with_suffix(".partial")
        flags = ("-O2", "-Wall", "-s", "-shared", "-fPIC", f"-Wl,-soname,{SONAME}")
        run("gcc", *flags, "-o", partial, SOURCE, "-ldl", what="build NVML")
        partial.rename(built)
    return built
