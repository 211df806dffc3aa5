"""Which GPU a PCI id is, and what can drive it: most specific row first, never a guess."""

from __future__ import annotations

from gpurig.stack.model import Flavour, Gpu
from gpurig.stack.tables import GpuRow, tables
from gpurig.stack.versions import numbers

VENDOR = "10de"


def row_of(pci_id: str) -> GpuRow | None:
    """The row of ``10de:2330``; of several whose range holds it the narrowest, else None."""
    vendor, _, device = pci_id.lower().partition(":")
    if vendor != VENDOR:
        return None
    number = int(device, 16)
    found = [
        (last - first, row)
        for row in tables().gpus
        for first, last in map(_range, row.ids)
        if first <= number <= last
    ]
    return min(found, key=lambda match: match[0])[1] if found else None


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
        return f"driver {row.last_branch} is the last for it"
    if flavour not in row.flavours:
        return f"only the {row.flavours[0]} kernel module drives it"
    return None


def computes_with(row: GpuRow, cuda: str) -> str | None:
    """Why CUDA in these bounds (``>=12.5.82,<13``) has no code for it, or None if it has."""
    low, high = (numbers(bound.lstrip("><=")) for bound in cuda.split(","))
    if row.cuda_last and numbers(row.cuda_last)[:2] < low[:2]:
        return f"CUDA {row.cuda_last} is the last that compiles for it"
    if numbers(row.cuda_first) >= high:
        return f"CUDA {row.cuda_first} is the first that compiles for it"
    return None


def _range(ids: str) -> tuple[int, int]:
    first, _, last = ids.partition("-")
    return int(first, 16), int(last or first, 16)
