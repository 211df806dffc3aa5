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
_KINDS = dict(zip(("VGA compatible", "3D", "Display"), _DISPLAY, strict=True))

# A device of `lspci -nn` and of `lspci -n`: its class and its id. A subsystem's line has no class.
_NUMBERED = re.compile(r"\[([0-9a-f]{4})\]:.*\[([0-9a-f]{4}:[0-9a-f]{4})\]", re.IGNORECASE)
_NUMBERS = re.compile(
    r"\s*[0-9a-f:]+\.[0-7]\s+([0-9a-f]{4}):\s+([0-9a-f]{4}:[0-9a-f]{4})\b", re.IGNORECASE
)
_NAMED = re.compile(rf"({'|'.join(_KINDS)}) controller: (.+)")  # lspci alone
_CHIP = re.compile(r"\b[A-Z]{2}\d\d[0-9B]")  # GK208 of GK208B
_QUERY = re.compile(r"\s*Device Id\s*:\s*0x([0-9a-f]{4})10de\s*", re.IGNORECASE)  # nvidia-smi -q
_XML = re.compile(r"\s*<pci_device_id>0x([0-9a-f]{4})10de</pci_device_id>", re.IGNORECASE)  # -q -x
_LIST = re.compile(r"GPU \d+: (.+?)(?: \(UUID: .*)?")  # nvidia-smi -L
_TABLE = re.compile(r"\|\s+\d+\s+(\S.*?)\s+(?:On|Off|N/A)\s+\|.*")  # nvidia-smi
_CLASS = re.compile(r"0x([0-9a-f]{4})[0-9a-f]{2}")  # of facts


class Listed(str):
    """
    A PCI id or a name, with what a listing says of the device beside it.

    + kind: its PCI class, ``0300``; chip: that of its GPU, ``GK208``; empty where nothing says it
    """

    kind: str
    chip: str

    def __new__(cls, word: str, kind: str = "", chip: str = "") -> Listed:
        made = super().__new__(cls, word)
        made.kind, made.chip = kind, chip
        return made


def listed(lines: Sequence[str]) -> list[Listed] | None:
    """
    The GPUs, NVSwitches and TPUs of a listing, in its order; None where the lines are none.

    Without any of those, the display devices of other makers that it has.
    """
    for found in (_of_lspci(lines), _of_smi(lines), _of_names(lines)):
        if found:
            return found
    return None


def _of_lspci(lines: Sequence[str]) -> list[Listed]:
    found = [match.groups() for line in lines if (match := _device(line))]
    devices = [Listed(pci_id.lower(), kind.lower()) for kind, pci_id in found]
    ours = [device for device in devices if _is_ours(device)]
    return ours or [device for device in devices if device.kind in _DISPLAY]


def _device(line: str) -> re.Match[str] | None:
    return _NUMBERED.search(line) or _NUMBERS.match(line)


def _is_ours(device: Listed) -> bool:
    if device.startswith("10de:"):
        return device.kind in _GPU or is_nvswitch(device)
    return any(device in row.ids for row in tables().accelerator)


def _of_smi(lines: Sequence[str]) -> list[Listed]:
    ids = [match[1] for line in lines if (match := _QUERY.fullmatch(line) or _XML.match(line))]
    if ids:
        return [Listed(f"10de:{device.lower()}") for device in ids]
    matches = (_LIST.fullmatch(line) or _TABLE.fullmatch(line) for line in lines)
    return [Listed(match[1]) for match in matches if match]


def _of_names(lines: Sequence[str]) -> list[Listed]:
    found = [match.groups() for line in lines if (match := _NAMED.search(line))]
    ours = [(kind, text) for kind, text in found if text.startswith("NVIDIA")]
    return [_named(kind, text) for kind, text in ours or found]


def _named(kind: str, text: str) -> Listed:
    """In brackets stands the name of the card, before them that of its chip."""
    bracket = re.search(r"\[(.+?)\]", text)
    if bracket is None:
        return Listed(text, _KINDS[kind])
    chip = _CHIP.search(text[: bracket.start()])
    return Listed(bracket[1], _KINDS[kind], chip[0] if chip else "")


def reported(text: str) -> list[list[Listed]]:
    """
    The ids of the GPUs, NVSwitches and TPUs of each host of report.json or ``facts --json``.

    ValueError where the text is neither, or gpurig could not read the GPUs of a host.
    """
    try:
        hosts = json.loads(text)["hosts"].values()
        return [list(_of_facts(host["facts"])) for host in hosts]
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it has another shape") from error


def _of_facts(facts: Any) -> Iterator[Listed]:
    for key in ("gpus", "nvswitches", "accelerators"):
        for device in facts[key] if key == "gpus" else facts.get(key) or ():
            if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", device["id"]) is None:
                raise ValueError("it has an id that is none")
            kind = _CLASS.fullmatch(str(device.get("class")))
            yield Listed(device["id"], kind[1] if kind else "")
