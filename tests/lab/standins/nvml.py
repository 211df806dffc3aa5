"""NVML for a host without a GPU: built once by gcc, with what it answers at the end of the file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..commands import run
from ..errors import LabError
from .gpus import KINDS, MOST, Kind

SOURCE = Path(__file__).with_name("nvml.c")
SONAME = "libnvidia-ml.so.1"
CUDA_OF_BRANCH = {"535": 12020, "550": 12040}  # nvmlSystemGetCudaDriverVersion under each


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
    if not 1 <= count <= MOST:
        raise LabError(f"a host has 1 to {MOST} GPUs, not {count}")
    answers = _answers(kind(name), count, driver)
    text = "".join(f"{key} {value}\n" for key, value in answers.items())
    return _compiled(cache).read_bytes() + b"\0" + text.encode()


def _answers(of: Kind, count: int, driver: str) -> dict[str, str | int]:
    """What NVML says, by the keys that it looks up; numbers are decimal."""
    branch = driver.partition(".")[0]
    if branch not in CUDA_OF_BRANCH:
        known = " and ".join(CUDA_OF_BRANCH)
        raise LabError(f"NVML's stand-in does not know the driver {driver}; it knows {known}")
    vendor, device = of.pci.split(":")
    board_vendor, board = of.subsystem.split(":")
    major, minor = of.capability.split(".")
    answers: dict[str, str | int] = {
        "driver": driver,
        "nvml": f"12.{driver}",
        "cuda": CUDA_OF_BRANCH[branch],
        "name": of.name,
        "vbios": of.vbios,
        "part": of.part,
        "brand": of.brand,
        "architecture": of.architecture,
        "major": major,
        "minor": minor,
        "memory": of.memory,
        "memory_free": of.memory_free,
        "pci": int(device + vendor, 16),
        "subsystem": int(board + board_vendor, 16),
        "mig_devices": of.mig_devices,
        "power": of.power,
        "power_limit": of.power_limit,
        "temperature": of.temperature,
    }
    for node, bus in enumerate(of.buses.split()[:count]):
        answers[f"{node}.uuid"] = f"{of.uuid[:-1]}{node}"
        answers[f"{node}.serial"] = f"{of.serial[:-1]}{node}"
        answers[f"{node}.bus"] = int(bus, 16)
    return answers


def _compiled(cache: Path) -> Path:
    built = cache / f"nvml-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = built.with_suffix(f".{os.getpid()}")
        flags = ("-O2", "-Wall", "-Werror", "-s", "-shared", "-fPIC", f"-Wl,-soname,{SONAME}")
        run("gcc", *flags, "-o", partial, SOURCE, "-ldl", what="build NVML")
        partial.replace(built)
    return built
