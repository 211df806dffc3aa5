"""modprobe: which modules are kept from loading, and what its configuration says of GPUs."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Configuration(TypedDict):
    """
    What modprobe's files say together, whoever wrote them.

    + blacklisted: modules that are not loaded for hardware
    + checksum: of all lines about NVIDIA's modules and those that compete with them
    """

    blacklisted: list[str]
    checksum: str


class ModprobeConfig(Fact[Configuration]):
    """
    modprobe's effective configuration of GPU drivers; ABSENT where there is no modprobe.

    ``{"blacklisted": ["nouveau"], "checksum": "9f86d0…"}``
    """

    def command(self) -> StringCommand:
        return framed(
            "command -v modprobe >/dev/null || exit 3;"
            " c=$(modprobe --showconfig | grep -E 'nvidia|nouveau|nova' | LC_ALL=C sort -u);"
            ' printf "%s\\n" "$c" | sha256sum; printf "%s\\n" "$c" | sed -n "s/^blacklist //p"'
        )

    def parse(self, lines: list[str], code: int) -> Configuration | Absent | Unknown:
        if code == 3:
            return ABSENT
        return Configuration(blacklisted=sorted(lines[1:]), checksum=lines[0].split()[0])
