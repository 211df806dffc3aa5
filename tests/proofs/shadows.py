"""What an environment should have brought and did not: libraries and modules from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpurig.contract.frameworks import frameworks

# What CUDA's wheels bring, and so do a toolkit and NVIDIA's apt repository.
_CUDA = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn\w*|cufft\w*|cufile\w*|cupti|curand|cusolver\w*|cusparse\w*"
    r"|nccl|nvJitLink|nvrtc[\w-]*|nvshmem\w*)"
)
_DRIVER = re.compile(r"lib(cuda|nvidia-\w+)")
VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")


def shadowed(
    answer: Mapping[str, Any], variables: Mapping[str, str], system_cuda: bool = False
) -> list[str]:
    """
    A sentence for each module and library that came from elsewhere.

    + answer: what the probe printed; variables: of `VARIABLES`, what the shell had
    + system_cuda: whether CUDA's libraries may be the system's
    """
    found = [
        f"the module {name} comes from {path}, not from the environment{_because(path, variables)}"
        for name, path in answer["modules"]
    ]
    inside = {_stem(path) for path in answer["libraries"] if _is_within(path, answer["prefix"])}
    for path in answer["libraries"]:
        stem = _stem(path)
        if _is_within(path, answer["prefix"]):
            strange = stem == "libcuda"  # only the driver's own fits the driver
        elif _DRIVER.fullmatch(stem):
            strange = "stubs" in path.split("/")
        elif _CUDA.fullmatch(stem):
            strange = not system_cuda
        else:
            brought = stem.startswith("lib") and stem in answer["brought"]
            strange = brought and stem not in inside
        if strange:
            right = "driver" if _DRIVER.fullmatch(stem) else "environment"
            because = _because(path, variables)
            found.append(f"{path} is loaded instead of the {right}'s own library{because}")
    return found


def without_its_own(answer: Mapping[str, Any], framework: str) -> bool:
    """Whether no library of the framework that computes was loaded from the environment."""
    part = f"/site-packages/{frameworks()[framework].libraries}/"
    return not any(
        _is_within(path, answer["prefix"]) and part in path for path in answer["libraries"]
    )


def _because(path: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        for place in re.split(r"[: ]", value):
            if place and (path == place or _is_within(path, place.rstrip("/"))):
                return f", because of {name}={value}"
    return ""


def _is_within(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".so")[0]


def has_kernel(architectures: Iterable[str], capability: tuple[int, int]) -> bool:
    """
    Whether a build has code that a GPU runs: CUDA's own rules of compatibility.

    + architectures: as ``torch.cuda.get_arch_list()`` and TensorFlow's build info name them,
      ``sm_80`` for machine code and ``compute_90`` for PTX
    + capability: ``(9, 0)``

    Machine code runs on the same major capability from its minor on; PTX on every later one. What
    ends with a letter runs on exactly that capability (``sm_90a``), or in its family (``f``).
    """
    for architecture in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
        if not match:
            continue
        kind, letter, made = match[1], match[4], (int(match[2]), int(match[3]))
        same_major = made[0] == capability[0] and made[1] <= capability[1]
        if letter == "a":
            fits = made == capability
        elif letter == "f" or kind == "sm":
            fits = same_major
        else:
            fits = made <= capability
        if fits:
            return True
    return False
