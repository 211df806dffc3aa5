"""Which driver releases know a GPU id: by NVIDIA's own lists, never by the family of its chip."""

from __future__ import annotations

from functools import cache

from gpurig.stack.model import Flavour
from gpurig.stack.rows import GpuListRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

NOT = "not "


@cache
def listed(pci_id: str) -> GpuListRow | None:
    """The list that has the id, or None where its family is all that is known."""
    device = _device(pci_id)
    return next((row for row in tables().gpu_list if device in row.first), None)


def first_release(pci_id: str) -> str | None:
    """The first release that lists the id, ``550.90.07``; None where no list has it."""
    row = listed(pci_id)
    return row.first[_device(pci_id)][0] if row else None


@cache
def since(pci_id: str, branch: int, flavour: Flavour) -> str | None:
    """
    The release of a branch from which on it knows an id; None where the branch does not know it.

    The branch's number alone, ``580``, where all of its releases do, or where nothing is known.
    """
    row, device = listed(pci_id), _device(pci_id)
    if row is None or branch < _branch(row.read[0]):
        return str(branch)
    if flavour == "proprietary" and device in row.earlier:
        return str(branch)
    if branch in _without(row, device):
        return _after(next(one for one in row.read if _branch(one) == branch))
    entries = [one for one in row.first[device] if not one.startswith(NOT)]
    own = [one for one in entries if _branch(one) == branch]
    if own:
        return own[0]
    return str(branch) if branch > _branch(entries[0]) else None


def next_release(pci_id: str, branch: int, flavour: Flavour) -> str:
    """The first release that knows the id, of this branch or of the next one that does."""
    row = listed(pci_id)
    assert row is not None  # of an id without a list every release does
    own = since(pci_id, branch, flavour)
    if own and branch not in _without(row, _device(pci_id)):
        return own
    entries = [one for one in row.first[_device(pci_id)] if not one.startswith(NOT)]
    later = [one for one in entries if _branch(one) > branch]
    return later[0] if later else own or entries[0]


def knows(pci_id: str, version: str, flavour: Flavour) -> bool:
    """Whether a release of the driver, ``535.309.01``, knows the id."""
    release = numbers(version)
    if not release:
        return True  # of a version that nobody could read nothing is known
    first = since(pci_id, release[0], flavour)
    return first is not None and release >= numbers(first)


def _without(row: GpuListRow, device: str) -> list[int]:
    return [int(one.removeprefix(NOT)) for one in row.first[device] if one.startswith(NOT)]


def _after(release: str) -> str:
    """What is newer than the last release that was read, of which a list says nothing."""
    return f"{release}.1"


def _branch(release: str) -> int:
    return numbers(release)[0]


def _device(pci_id: str) -> str:
    return pci_id.lower().partition(":")[2]
