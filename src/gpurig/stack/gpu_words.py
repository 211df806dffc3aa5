"""The GPUs that people write down: by id, by name, by what a program printed of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpurig.errors import InputError
from gpurig.stack.gpu_ids import first_release
from gpurig.stack.gpu_listings import Listed, listed, reported
from gpurig.stack.gpu_names import CUT, Named, called, every_name, of_chip
from gpurig.stack.gpus import VENDOR, row_of
from gpurig.stack.versions import numbers

MOST = 64  # GPUs of one kind in one machine: more are a slip of the pen
_LINE = 500  # characters of a line; those of listings are shorter
_SHOWN = 60  # characters of what was written, in a sentence about it
_CANDIDATES, _NOTED = 12, 4  # names in a refusal, and in a note

_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}", re.IGNORECASE)
_TIMES = (
    re.compile(r"(?P<count>\d{1,3})\s*[x\u00d7*]\s*(?P<what>\S.*)", re.IGNORECASE),  # 2x A100
    re.compile(r"(?P<what>.*\S)\s+[x\u00d7*]\s*(?P<count>\d{1,3})", re.IGNORECASE),  # H100 x8
    re.compile(r"(?P<what>.*\d)[x\u00d7*](?P<count>\d{1,2})", re.IGNORECASE),  # H100x8
)
_TPU = "1ae0"
_MAKERS = {
    "1002": "AMD", "1022": "AMD", "8086": "Intel", "1a03": "ASPEED", "102b": "Matrox",
    "1da3": "Habana Labs", "1234": "QEMU", "1af4": "QEMU", "1b36": "QEMU", "15ad": "VMware",
}  # fmt: skip
_MAKERS_WORDS = {
    "AMD": re.compile(
        r"\b(amd|ati|radeon|instinct|firepro|mi\d{2,3}[ax]?|rx ?\d{3,4}(xtx?)?)\b", re.IGNORECASE
    ),
    "Intel": re.compile(r"\b(intel|arc|iris|u?hd graphics|gaudi ?\d?)\b", re.IGNORECASE),
}
_JETSON = re.compile(r"\b(jetson|tegra|orin|xavier)\b", re.IGNORECASE)  # not on a PCI bus
_OURS = "gpurig sets up NVIDIA's GPUs"
_WITHOUT = "leave --gpu out to see what computes on the CPU"


@dataclass(frozen=True)
class Gpus:
    """
    What was found.

    + ids: of GPUs, NVSwitches and TPUs, one for each device, with what a listing says of it
    + notes: sentences about names that several GPUs have
    """

    ids: tuple[Listed, ...]
    notes: tuple[str, ...] = ()


def gpus(text: str, where: str = "--gpu") -> Gpus:
    """
    The GPUs that a word, a line or a whole listing names; of an id that it found, the same again.

    + where: where the text is from, as sentences about it begin

    InputError, one sentence, where it names none, one of another maker, or several that differ.
    """
    if isinstance(text, Listed):
        return Gpus((text,))
    if text.lstrip().startswith("{"):
        return Gpus(_of_report(text, where))
    lines = [line.strip()[:_LINE] for line in text.splitlines() if line.strip()]
    words = (listed(lines) or _of_csv(lines)) if lines else []
    found = [_of_word(word, where) for word in words]
    if not found:
        raise _wrong("it names no GPU", where, _LIKE)
    ids = tuple(pci_id for one in found for pci_id in one.ids)
    return Gpus(ids, tuple(dict.fromkeys(note for one in found for note in one.notes)))


_LIKE = (
    "write a name, or vendor:device as `lspci -nn` shows it, for example 10de:2330, or give the"
    " whole listing as a file"
)
_CUT_SHORT = "nvidia-smi cut the name: give what `nvidia-smi -L` or `lspci -nn` prints"


def _of_csv(lines: list[str]) -> list[Listed]:
    """The names in `nvidia-smi --query-gpu=name,… --format=csv`; elsewhere commas part words."""
    cells = [[cell.strip() for cell in line.split(",")] for line in lines]
    if cells[0][0] == "name":
        return [Listed(row[0]) for row in cells[1:]]
    return [Listed(cell) for row in cells for cell in row if cell]


def _of_word(word: Listed, where: str) -> Gpus:
    """Of an id or a name, perhaps with how many of it."""
    times = next((match for pattern in _TIMES if (match := pattern.fullmatch(word))), None)
    count, what = (int(times["count"]), times["what"]) if times else (1, word)
    if not 1 <= count <= MOST:
        raise _wrong(f"{_quoted(word)} are {count} GPUs", where, f"write 1 to {MOST}")
    if _ID.fullmatch(what):
        return Gpus((Listed(_of_id(what, where), word.kind),) * count)
    pci_id, notes = _of_name(what, word.chip, where)
    return Gpus((Listed(pci_id, word.kind),) * count, notes)


def _of_id(word: str, where: str) -> str:
    pci_id = word.lower()
    if pci_id[:4] not in (VENDOR, _TPU):
        maker = _MAKERS.get(pci_id[:4])
        of = f"is a device of {maker}" if maker else "is no PCI id of NVIDIA's"
        raise _wrong(f"{_quoted(word)} {of}, and {_OURS}", where, _WITHOUT)
    return pci_id


def _of_name(name: str, chip: str, where: str) -> tuple[str, tuple[str, ...]]:
    """The id that a name is taken for, and a note where it can be another."""
    found = of_chip(name) or called(name, every_name())
    if chip:  # several chips have the name: GeForce GT 710 is one of GF119 and of GK208
        found = [pair for pair in found if (row := row_of(pair[0])) and chip in row.chips]
    cut = name.endswith(CUT)
    if not found:
        raise _unknown(name, where, _CUT_SHORT if cut else _LIKE)
    if len({row_of(pci_id) and id(row_of(pci_id)) for pci_id, _ in found}) > 1:
        several = f"{_quoted(name)} can be {_candidates(found, _CANDIDATES)}"
        raise _wrong(several, where, _CUT_SHORT if cut else "write more of its name, or its id")
    releases = {pci_id: first_release(pci_id) for pci_id, _ in found}
    taken = max(releases, key=lambda one: numbers(releases[one] or ""))
    if len(found) == 1:
        return taken, ()
    note = f"{_quoted(name)} can be {_candidates(found, _NOTED)}; gpurig resolves for {taken}"
    if len(set(releases.values()) - {None}) > 1:
        note += ", which needs the newest driver of them"
    return taken, (note,)


def _unknown(name: str, where: str, do: str) -> InputError:
    for maker, pattern in _MAKERS_WORDS.items():
        if pattern.search(name):
            return _wrong(f"{_quoted(name)} is a GPU of {maker}, and {_OURS}", where, _WITHOUT)
    if _JETSON.search(name):
        what = f"{_quoted(name)} is a Jetson, which has its own stack, JetPack"
        do = "describe it by --arch aarch64 and its kernel, for example --kernel 6.8.12-tegra"
        return _wrong(what, where, do)
    return _wrong(f"{_quoted(name)} is no GPU in gpurig's tables", where, do)


def _candidates(found: list[Named], most: int) -> str:
    shown = [f"{name} ({pci_id})" for pci_id, name in found[:most]]
    more = len(found) - len(shown)
    if more:
        return f"{', '.join(shown)} or one of {more} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]])


def _of_report(text: str, where: str) -> tuple[Listed, ...]:
    """Of the one host, or what all hosts have alike."""
    try:
        machines = reported(text)
    except ValueError as error:
        what = f"it is no report.json and no output of `gpurig facts --json` with GPUs ({error})"
        raise _wrong(what, where, "give it what `lspci -nn` prints") from error
    if any(machine != machines[0] for machine in machines):
        what = f"its {len(machines)} hosts have different GPUs"
        raise _wrong(what, where, "give the file to --facts, which resolves for each host")
    if not any(machines):
        raise _wrong("it has no host with a GPU", where, _WITHOUT)
    return tuple(machines[0])


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _wrong(what: str, where: str, do: str) -> InputError:
    return InputError("given-wrong", what, where, do)
