"""Which GPUs a name means: ``RTX 5090``, ``h100``, ``NVIDIA H100 80GB HBM3``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from gpurig.stack.gpus import row_of
from gpurig.stack.tables import tables

# Whose GPU it is says nothing of which one: nvidia-smi writes "NVIDIA H100", pci.ids "Tesla V100".
_MAKERS = frozenset(("nvidia", "corporation", "geforce", "tesla", "graphics", "gpu", "card"))
# Cards of another build with the name of one for desktops; nobody means them without their word.
_BUILDS = frozenset(("laptop", "mobile", "embedded", "drive", "oem", "fake", "engineering"))
# Who writes the first word and not the second means another card, with the same number: a Quadro
# 4000 is no Quadro RTX 4000, and a GeForce 510 no NVS 510.
_OTHERS = (("quadro", "rtx"), ("geforce", "nvs"))
CUT = "..."  # how nvidia-smi ends a name that its table has no room for
_GLUED = (
    (re.compile(r"\b(rtx|gtx|gt|mx)(\d)"), r"\1 \2"),  # rtx5090
    (re.compile(r"\b(\d{3,4})(ti|super)\b"), r"\1 \2"),  # 3080ti
    (re.compile(r"\b(\d{1,3}) gb?\b"), r"\1gb"),  # 80 GB
)
Named = tuple[str, str]  # a PCI id and one of its names: ("10de:2330", "NVIDIA H100 80GB HBM3")


@cache
def words(name: str) -> tuple[str, ...]:
    """The words of a name by which it is found, without those of its maker."""
    return tuple(word for word in _every_word(name) if word not in _MAKERS)


@cache
def _every_word(name: str) -> tuple[str, ...]:
    text = name.lower()
    for pattern, parts in _GLUED:
        text = pattern.sub(parts, text)
    return tuple(re.findall(r"[a-z0-9]+", text))


def called(name: str, named: Iterable[Named]) -> list[Named]:
    """
    The GPUs that a name means, each id once, in the order of the pairs.

    Those that are called exactly so, else those whose name has all its words: one word (``h100``)
    is the name of a family. Of a name that nvidia-smi cut (`CUT`), those that begin with the rest.
    """
    pairs = list(named)
    if name.endswith(CUT):
        found = _beginning(_plain(name.removesuffix(CUT)), pairs)
    else:
        found = _whole(name, pairs)
    return _once(found)


def of_chip(name: str) -> list[Named]:
    """The GPUs of a chip that is in several rows of the tables, as that of H100 and GH200 is."""
    asked = " ".join(words(name)).upper()
    rows = [row for row in tables().gpu if asked in re.findall(r"\w+", row.chips)]
    if len(rows) < 2:
        return []
    return _once([pair for pair in every_name() if row_of(pair[0]) in rows])


def _once(found: list[Named]) -> list[Named]:
    return [pair for n, pair in enumerate(found) if pair[0] not in dict(found[:n])]


def _beginning(start: str, pairs: list[Named]) -> list[Named]:
    """Those that go on after it: a name that ends there has room in the table."""
    if not start.strip():
        return []
    plain = [(pair, _plain(pair[1])) for pair in pairs]
    return [pair for pair, name in plain if name.startswith(start) and name != start]


@cache
def _plain(name: str) -> str:
    """In small letters, with spaces for signs and without NVIDIA's own name."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).removeprefix("nvidia ")


def _whole(name: str, pairs: list[Named]) -> list[Named]:
    asked, said = words(name), _every_word(name)
    if not asked:
        return []
    exact = [pair for pair in pairs if "".join(words(pair[1])) == "".join(asked)]
    if len(asked) > 1 and exact:
        return exact
    other = {word for line, word in _OTHERS if line in said and word not in said}
    return _with_words(set(asked), [pair for pair in pairs if not other & set(words(pair[1]))])


def _with_words(asked: set[str], pairs: list[Named]) -> list[Named]:
    found = [pair for pair in pairs if asked <= set(words(pair[1]))]
    usual = [pair for pair in found if not _BUILDS & set(words(pair[1])) - asked]
    return usual or found


def every_name() -> Iterator[Named]:
    """All names of the tables with their ids."""
    for row in tables().gpu_name:
        for device, names in row.names.items():
            yield from ((f"10de:{device}", name) for name in names)
