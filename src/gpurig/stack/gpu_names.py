"""Which GPUs a name means: ``RTX 5090``, ``h100``, ``NVIDIA H100 80GB HBM3``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from gpurig.stack.tables import tables

# Whose GPU it is says nothing of which one: nvidia-smi writes "NVIDIA H100", pci.ids "Tesla V100".
_MAKERS = frozenset(("nvidia", "corporation", "geforce", "tesla", "graphics", "gpu", "card"))
# Cards of another build with the name of one for desktops; nobody means them without their word.
_BUILDS = frozenset(("laptop", "mobile", "embedded", "drive", "oem", "fake", "engineering"))
_GLUED = (
    (re.compile(r"\b(rtx|gtx|gt|mx)(\d)"), r"\1 \2"),  # rtx5090
    (re.compile(r"\b(\d{3,4})(ti|super)\b"), r"\1 \2"),  # 3080ti
    (re.compile(r"\b(\d{1,3}) gb?\b"), r"\1gb"),  # 80 GB
)
Named = tuple[str, str]  # a PCI id and one of its names: ("10de:2330", "NVIDIA H100 80GB HBM3")


@cache
def words(name: str) -> tuple[str, ...]:
    """The words of a name by which it is found, without those of its maker."""
    text = name.lower()
    for pattern, parts in _GLUED:
        text = pattern.sub(parts, text)
    return tuple(word for word in re.findall(r"[a-z0-9]+", text) if word not in _MAKERS)


def called(name: str, named: Iterable[Named]) -> list[Named]:
    """
    The GPUs that a name means, each id once, in the order of the pairs.

    Those that are called exactly so, else those whose name has all its words: one word (``h100``)
    is the name of a family.
    """
    asked, pairs = words(name), list(named)
    if not asked:
        return []
    exact = [pair for pair in pairs if "".join(words(pair[1])) == "".join(asked)]
    found = exact if len(asked) > 1 and exact else _with_words(set(asked), pairs)
    return [pair for n, pair in enumerate(found) if pair[0] not in dict(found[:n])]


def _with_words(asked: set[str], pairs: list[Named]) -> list[Named]:
    found = [pair for pair in pairs if asked <= set(words(pair[1]))]
    usual = [pair for pair in found if not _BUILDS & set(words(pair[1])) - asked]
    return usual or found


def every_name() -> Iterator[Named]:
    """All names of the tables with their ids."""
    for row in tables().gpu_name:
        for device, names in row.names.items():
            yield from ((f"10de:{device}", name) for name in names)
