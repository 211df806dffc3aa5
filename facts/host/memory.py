"""How much main memory the host has."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown


class Bytes(TypedDict):
    """``available_bytes`` as the kernel estimates what programs could still take."""

    total_bytes: int
    available_bytes: int


class Memory(Always[Bytes]):
    """Main memory by /proc/meminfo: ``{"total_bytes": …, "available_bytes": …}``."""

    def command(self) -> StringCommand:
        return framed("sed -nE '/^(MemTotal|MemAvailable):/p' /proc/meminfo")

    def parse(self, lines: list[str], code: int) -> Bytes | Unknown:
        kilobytes = {words[0]: int(words[1]) for words in map(str.split, lines)}
        if code or len(kilobytes) != 2:
            return Unknown("/proc/meminfo does not have it")
        return {
            "total_bytes": kilobytes["MemTotal:"] * 1024,
            "available_bytes": kilobytes["MemAvailable:"] * 1024,
        }
