"""Which GPU a PCI id is, and what can drive it: most specific row first, never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from gpurig.stack.model import Flavour, Gpu
from gpurig.stack.rows import GpuRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

VENDOR = "10de"


@cache
def row_of(pci_id: str) -> GpuRow | None:
    """The row of ``10de:2330``; of several whose range holds it the narrowest, else None."""
    vendor, _, device = pci_id.lower().partition(":")
    if vendor != VENDOR:
        return None
    number = int(device, 16)
    found = [
        (last - first, row)
        for row in tables().gpu
        for first, last in map(_range, row.ids)
        if first <= number <= last
    ]
    return min(found, key=lambda match: match[0])[1] if found else None


@cache
def is_nvswitch(pci_id: str) -> bool:
    """Whether the id is an NVSwitch; NVIDIA made other bridges, too."""
    vendor, _, device = pci_id.partition(":")
    number = int(device, 16) if vendor == VENDOR else -1
    ranges = [_range(ids) for row in tables().nvswitch for ids in row.ids]
    return any(first <= number <= last for first, last in ranges)


def gpu(pci_id: str, address: str | None = None) -> Gpu:
    """The GPU of this id; architecture and compute capability are None where it is unknown."""
    row = row_of(pci_id)
    if row is None:
        return Gpu(pci_id.lower(), None, None, address)
    return Gpu(pci_id.lower(), row.architecture, row.compute_capability, address, row.chips)


def called(gpu: Gpu) -> str:
    """How sentences name it: ``10de:2330 (hopper)``."""
    return f"{gpu.id} ({gpu.architecture or 'unknown'})"


def driven_by(row: GpuRow, branch: int, flavour: Flavour) -> str | None:
    """Why this driver does not drive it, or None if it does."""
    if row.first_branch and branch < row.first_branch:
        return f"it needs driver {row.first_branch} or newer"
    if row.last_branch and branch > row.last_branch:
        return f"driver {row.last_branch} is the last that supports it"
    if flavour not in row.flavours:
        return f"only the {row.flavours[0]} kernel module supports it"
    return None


def runs_code(capability: str, built_for: Sequence[str]) -> bool:
    """
    Whether a GPU of this compute capability runs code built for these.

    Code runs on its own capability and on later ones of the same major; what ends in ``+PTX`` is
    compiled anew, at first use, for everything later (CUDA C++ programming guide, binary and PTX
    compatibility).
    """
    return _runs_code(capability, tuple(built_for))


@cache
def _runs_code(capability: str, built_for: tuple[str, ...]) -> bool:
    wanted = numbers(capability)
    for name in built_for:
        own = numbers(name)
        if own[0] == wanted[0] and own <= wanted:
            return True
        if name.endswith("+PTX") and own <= wanted:
            return True
    return False


def _range(ids: str) -> tuple[int, int]:
    first, _, last = ids.partition("-")
    return int(first, 16), int(last or first, 16)
