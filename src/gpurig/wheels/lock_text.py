"""
What a lock may say: ``name==version`` and the SHA-256 of its files, line for line, nothing else.

pip and uv take more in such a file: addresses, folders, options, files to include. Each of these
would bring something onto hosts that no hash stands for, so a lock that has one is refused whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from packaging.utils import canonicalize_name

# What has no wheel and is built on hosts: only from the file with this sum. All else is wheels.
SOURCES = {"promise": "dfd18337c523ba4b6a58801c164c1904a9d4d1b1747c7d5dbf45b693a49d93d0"}

# For pip and uv alike; the last word counts.
ONLY_WHEELS = " ".join(["--only-binary :all:", *(f"--no-binary {name}" for name in SOURCES)])

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[0-9a-z.!+]+)"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """
    One distribution of a lock.

    + version: as the lock has it; hashes: the SHA-256 of each file that may be taken
    """

    version: str
    hashes: frozenset[str]


@lru_cache
def read(text: str) -> Mapping[str, Pin]:
    """
    What a lock pins, by normalised name (PEP 503).

    ValueError for anything else than pins with hashes; it says where: ``line 3: …``.
    """
    found: dict[str, Pin] = {}
    lines = enumerate(text.split("\n"), 1)
    for number, line in lines:
        first = number
        while line.endswith(" \\"):
            number, more = next(lines, (number, ""))
            line = f"{line[:-2]} {more.strip(' ')}"
        if not line:
            continue
        pin, *hashes = line.split(" ")
        name, one = _pin(pin, [word for word in hashes if word], f"line {first}")
        if name in found:
            raise ValueError(f"line {first}: {name} appears twice")
        found[name] = one
    if not found:
        raise ValueError("line 1: there is no package")
    return MappingProxyType(found)


def _pin(pin: str, words: list[str], where: str) -> tuple[str, Pin]:
    named = _PIN.fullmatch(pin)
    hashes = [_HASH.fullmatch(word) for word in words]
    if named is None or not all(hashes):
        raise ValueError(f"{where}: not only name==version and --hash=sha256:…")
    if not hashes:
        raise ValueError(f"{where}: --hash=sha256:… is missing")
    name = canonicalize_name(named["name"])
    sums = frozenset(found[1] for found in hashes if found)
    if name in SOURCES and sums != {SOURCES[name]}:
        raise ValueError(
            f"{where}: {name} is built from source, and this is not the source that gpurig knows"
        )
    return name, Pin(named["version"], sums)


def written(pins: Mapping[str, Pin], names: Iterable[str]) -> str:
    """The text of a lock with these of the pins."""
    lines = []
    for name in names:
        hashes = (f"    --hash=sha256:{one}" for one in sorted(pins[name].hashes))
        lines.append(" \\\n".join([f"{name}=={pins[name].version}", *hashes]) + "\n")
    return "".join(lines)
