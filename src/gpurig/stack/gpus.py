"""Which GPU a PCI id is, and what can drive it: most specific row first, never a guess."""

from __future__ import annotations

from functools import cache

from gpurig.stack.gpu_ids import knows, next_release
from gpurig.stack.model import Flavour, Gpu
from gpurig.stack.rows import BuildRow, FabricRow, GpuRow
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


def fabric_row(pci_id: str) -> FabricRow | None:
    """What its NVLink needs beside the driver, or None."""
    vendor, _, device = pci_id.partition(":")
    rows = tables().fabric if vendor == VENDOR else ()
    return next((row for row in rows if device in row.ids), None)


def gpu(pci_id: str, address: str | None = None) -> Gpu:
    """The GPU of this id; architecture and compute capability are None where it is unknown."""
    row = row_of(pci_id)
    if row is None:
        return Gpu(pci_id.lower(), None, None, address)
    name = name_of(pci_id.lower()) or row.chips
    return Gpu(pci_id.lower(), row.architecture, row.compute_capability, address, name)


@cache
def name_of(pci_id: str) -> str:
    """What NVIDIA calls it: ``NVIDIA H200``, several names with a slash; empty without a name."""
    device = pci_id.lower().partition(":")[2]
    names = next((row.names[device] for row in tables().gpu_name if device in row.names), [])
    told = {name.lower().removeprefix("nvidia "): name for name in reversed(names)}
    shortest = [
        name for key, name in told.items() if not any(key.startswith(f"{one} ") for one in told)
    ]
    return " / ".join(reversed(shortest))


def called(gpu: Gpu) -> str:
    """How sentences name it: ``NVIDIA H200 (10de:2335)``, or ``10de:2344 (hopper)``."""
    if name := name_of(gpu.id):
        return f"{name} ({gpu.id})"
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


def too_old(pci_id: str, version: str, flavour: Flavour) -> str | None:
    """Why this release of the driver does not know the id, or None if it does."""
    if knows(pci_id, version, flavour):
        return None
    branch = numbers(version)[0]
    return f"NVIDIA lists it from driver {next_release(pci_id, branch, flavour)} on"


def runs_code(capability: str, build: BuildRow) -> bool:
    """Whether a GPU of this compute capability runs the build's cubins, or compiles its PTX."""
    return runs_as_it_is(capability, build) or any(runs_ptx(capability, one) for one in build.ptx)


def runs_as_it_is(capability: str, build: BuildRow) -> bool:
    """Whether it needs to compile nothing at first use."""
    return any(runs_cubin(capability, one) for one in build.capabilities)


@cache
def runs_cubin(capability: str, built_for: str) -> bool:
    """
    Whether a GPU runs a cubin that was built for this target, ``9.0``, ``9.0a`` or ``10.0f``.

    It runs on its own capability and on later ones of the same major; one that ends in ``a`` on no
    other than its own (CUDA C++ programming guide, binary compatibility and feature sets).
    """
    return _at_most(built_for, capability) and numbers(built_for)[0] == numbers(capability)[0]


@cache
def runs_ptx(capability: str, target: str) -> bool:
    """
    Whether a GPU can compile PTX of this target.

    That of a plain target compiles for everything later, that of a family (``10.0f``) within its
    major, one that ends in ``a`` for its own capability alone, as ptxas says.
    """
    return runs_cubin(capability, target) if target[-1] == "f" else _at_most(target, capability)


def _at_most(target: str, capability: str) -> bool:
    """Whether a target is of this capability, or of an earlier one and not bound to it."""
    own, wanted = numbers(target), numbers(capability)
    return own == wanted if target.endswith("a") else own <= wanted


def _range(ids: str) -> tuple[int, int]:
    first, _, last = ids.partition("-")
    return int(first, 16), int(last or first, 16)
