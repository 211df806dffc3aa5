"""What programs print of GPUs, as words: the ids that lspci and nvidia-smi show, else names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gpurig.stack.gpus import is_nvswitch
from gpurig.stack.tables import tables

_GPU = ("0300", "0302")  # PCI classes: VGA and 3D controllers
_DISPLAY = (*_GPU, "0380")

# A device of `lspci -nn` and of `lspci -n`: its class and its id. A subsystem's line has no class.
_NUMBERED = re.compile(r"\[([0-9a-f]{4})\]:.*\[([0-9a-f]{4}:[0-9a-f]{4})\]", re.IGNORECASE)
_NUMBERS = re.compile(
    r"\s*[0-9a-f:]+\.[0-7]\s+([0-9a-f]{4}):\s+([0-9a-f]{4}:[0-9a-f]{4})\b", re.IGNORECASE
)
_NAMED = re.compile(r"(?:VGA compatible|3D|Display) controller: (.+)")  # lspci alone
_QUERY = re.compile(r"\s*Device Id\s*:\s*0x([0-9a-f]{4})10de\s*", re.IGNORECASE)  # nvidia-smi -q
_XML = re.compile(r"\s*<pci_device_id>0x([0-9a-f]{4})10de</pci_device_id>", re.IGNORECASE)  # -q -x
_LIST = re.compile(r"GPU \d+: (.+?)(?: \(UUID: .*)?")  # nvidia-smi -L
_TABLE = re.compile(r"\|\s+\d+\s+(\S.*?)(?:\.\.\.)?\s+(?:On|Off|N/A)\s+\|.*")  # nvidia-smi


def listed(lines: Sequence[str]) -> list[str] | None:
    """
    The GPUs, NVSwitches and TPUs of a listing, in its order; None where the lines are none.

    Without any of those, the display devices of other makers that it has.
    """
    for found in (_of_lspci(lines), _of_smi(lines), _of_names(lines)):
        if found:
            return found
    return None


def _of_lspci(lines: Sequence[str]) -> list[str]:
    found = [match.groups() for line in lines if (match := _device(line))]
    devices = [(kind, pci_id.lower()) for kind, pci_id in found]
    ours = [pci_id for kind, pci_id in devices if _is_ours(kind, pci_id)]
    return ours or [pci_id for kind, pci_id in devices if kind in _DISPLAY]


def _device(line: str) -> re.Match[str] | None:
    return _NUMBERED.search(line) or _NUMBERS.match(line)


def _is_ours(kind: str, pci_id: str) -> bool:
    if pci_id.startswith("10de:"):
        return kind in _GPU or is_nvswitch(pci_id)
    return any(pci_id in row.ids for row in tables().accelerator)


def _of_smi(lines: Sequence[str]) -> list[str]:
    ids = [match[1] for line in lines if (match := _QUERY.fullmatch(line) or _XML.match(line))]
    if ids:
        return [f"10de:{device.lower()}" for device in ids]
    matches = (_LIST.fullmatch(line) or _TABLE.fullmatch(line) for line in lines)
    return [match[1] for match in matches if match]


def _of_names(lines: Sequence[str]) -> list[str]:
    """In brackets stands the name of the card, before them that of its chip."""
    found = [match[1] for line in lines if (match := _NAMED.search(line))]
    ours = [name for name in found if name.startswith("NVIDIA")]
    return [bracket[1] if (bracket := re.search(r"\[(.+?)\]", n)) else n for n in ours or found]


def reported(text: str) -> list[list[str]]:
    """
    The ids of the GPUs, NVSwitches and TPUs of each host of report.json or ``facts --json``.

    ValueError where the text is neither, or gpurig could not read the GPUs of a host.
    """
    try:
        hosts = json.loads(text)["hosts"].values()
        return [list(_of_facts(host["facts"])) for host in hosts]
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it has another shape") from error


def _of_facts(facts: Any) -> Iterator[str]:
    for key in ("gpus", "nvswitches", "accelerators"):
        for device in facts[key] if key == "gpus" else facts.get(key) or ():
            if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", device["id"]) is None:
                raise ValueError("it has an id that is none")
            yield device["id"]
