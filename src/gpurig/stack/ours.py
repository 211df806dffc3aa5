"""Which of the host's GPUs are for gpurig: not those that virtual machines hold or nobody means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpurig.stack.gpus import called, gpu, name_of, row_of
from gpurig.stack.tables import tables

if TYPE_CHECKING:
    from gpurig.facts.host.pci import PciDevice

# Kernel drivers that hold a device for a virtual machine.
PASSING = ("vfio-pci", "pci-stub", "pciback", "xen-pciback", "nvgrace-gpu-vfio-pci")
DISPLAY = "0x0300"  # the class of a device with a screen; one that only computes has 0x0302


def unmatched(words: Sequence[str], listed: Sequence[PciDevice]) -> list[str]:
    """The words of rig_gpus that mean no GPU of the host."""
    return [word for word in words if not any(means(word, device) for device in listed)]


def means(word: str, device: PciDevice) -> bool:
    """Whether a word of rig_gpus means a device: by its PCI id, its slot or its name."""
    asked = word.lower()
    if asked in (device["id"], device["address"], device["address"].partition(":")[2]):
        return True
    return bool(_words(asked)) and _words(asked) <= _words(name_of(device["id"]))


def others(words: Sequence[str], listed: Sequence[PciDevice]) -> dict[str, str]:
    """Why the devices that are left out are, by address."""
    found = {one["address"]: why for one in listed if (why := _reason(words, one))}
    legacy = [one for one in listed if one["address"] not in found and _is_legacy(one["id"])]
    computing = [one for one in listed if one["address"] not in found and row_of(one["id"])]
    if words or len(computing) == len(legacy):
        return found
    for one in legacy:
        row = row_of(one["id"])
        if row and one["class"].startswith(DISPLAY):
            found[one["address"]] = (
                f"driver {row.last_branch} is the last that supports it, and"
                " all GPUs of a host share one driver"
            )
    return found


def passed_on(device: PciDevice) -> str | None:
    """Why a device is a virtual machine's, or None."""
    if device["driver"] in PASSING:
        return f"{device['driver']} holds it, for a virtual machine"
    return None


def is_vgpu(device: PciDevice) -> bool:
    """Whether it is a part of a GPU, by the subsystem that NVIDIA gives each type of vGPU."""
    vendor, _, subsystem = (device["subsystem"] or "").partition(":")
    if vendor != "10de":
        return False
    number, own = int(subsystem, 16), device["id"].partition(":")[2]
    types = [one for row in tables().vgpu for one in row.types.get(own, [])]
    spans = [(one.partition("-")[0], one.rpartition("-")[2]) for one in types]
    return any(int(first, 16) <= number <= int(last, 16) for first, last in spans)


def named(device: PciDevice) -> str:
    """How sentences name a device: ``NVIDIA H100 PCIe (10de:2331) at 0000:41:00.0``."""
    return f"{called(gpu(device['id']))} at {device['address']}"


def _reason(words: Sequence[str], device: PciDevice) -> str | None:
    if why := passed_on(device):
        return why
    if words and not any(means(word, device) for word in words):
        return "rig_gpus does not name it"
    return None


def _is_legacy(pci_id: str) -> bool:
    """Whether the last driver of its family is one that NVIDIA calls legacy."""
    row = row_of(pci_id)
    kinds = {branch.number: branch.kind for branch in tables().branch}
    return bool(row and row.last_branch and kinds[row.last_branch] == "legacy")


def _words(name: str) -> set[str]:
    """The words of a name, ``rtx4090`` as two."""
    return set(re.findall(r"[a-z0-9]+", re.sub(r"\b(rtx|gtx|gt)(?=\d)", r"\1 ", name.lower())))
