"""A machine in rows that anybody can read: its name, GPUs, processors, memory and system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gpurig.contract.values import Unknown
from gpurig.engine.result import HostResult, Proof
from gpurig.errors import InputError
from gpurig.report.facts import WORDS, processors
from gpurig.report.units import memory
from gpurig.stack.gpus import gpu
from gpurig.stack.model import Stack
from gpurig.stack.observed import Observed

LOCAL = "@local"


def observed(result: HostResult) -> Observed:
    """What was read of the host last; all of it Unknown where nothing was, or something odd."""
    try:
        return Observed.from_facts(result.facts)
    except InputError:
        return Observed.from_facts({})


def own_name(result: HostResult) -> str:
    """How the machine calls itself, empty where that is not known."""
    machine = observed(result).machine
    return machine["name"] if isinstance(machine, dict) else ""


def name(result: HostResult) -> str:
    """How people call it: as the inventory does, and this machine by its own name."""
    return (own_name(result) or "this machine") if result.name == LOCAL else result.name


def machine(result: HostResult) -> list[tuple[str, str]]:
    """GPUs, processor, memory, system and kernel: those that were read."""
    if not result.facts:
        return []
    told = observed(result)
    found = [("GPUs", gpus(result))]
    if isinstance(told.machine, dict):
        found.append(("Processor", processors(told.machine)))
    if isinstance(told.memory, dict):
        found.append(("Memory", memory(told.memory["total_bytes"])))
    if isinstance(told.os, dict):
        architecture = f", {told.architecture}" if isinstance(told.architecture, str) else ""
        found.append(("System", told.os["name"] + architecture))
    if isinstance(told.kernel, dict):
        found.append(("Kernel", told.kernel["running"]))
    if isinstance(told.virtualization, dict):
        found.append(("Kind", WORDS["virtualization"](told.virtualization)[0]))
    return found


def gpus(result: HostResult) -> str:
    """The GPUs: by NVIDIA's product names where the driver told them, else by their chips."""
    answer = result.answer
    if isinstance(answer, Stack) and answer.gpus:
        ids = [one.id for one in answer.gpus]
        assumed = " (assumed)" if answer.assumed else ""
    else:
        listed = observed(result).gpus
        if isinstance(listed, Unknown):
            return "not known"
        ids, assumed = [one["id"] for one in listed] if isinstance(listed, list) else [], ""
    names = _products(result.proofs, len(ids)) or [_chip(one) for one in ids]
    return _grouped(names) + assumed if ids else "no NVIDIA GPU"


def _products(proofs: Iterable[Proof], number: int) -> list[str]:
    """The names that NVML gave, or a framework: where they are as many as there are GPUs."""
    for proof in proofs:
        given = proof.detail.get("names") if proof.id == "driver.nvml" else None
        if isinstance(seen := proof.detail.get("gpus"), list) and not given:
            given = [one.get("name") if isinstance(one, dict) else None for one in seen]
        if isinstance(given, list) and len(given) == number and all(map(_is_name, given)):
            return list(given)
    return []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _chip(pci_id: str) -> str:
    known = gpu(pci_id)
    if known.architecture is None:
        return f"NVIDIA {pci_id}"
    return f"NVIDIA {known.architecture.capitalize()} ({pci_id})"


def _grouped(names: Iterable[str]) -> str:
    told = [
        f"{n} \N{MULTIPLICATION SIGN} {one}" if n > 1 else one for one, n in Counter(names).items()
    ]
    return ", ".join(told)
