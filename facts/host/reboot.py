"""Whether the distribution asks for a reboot, and which boot this is."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Asked(TypedDict):
    """The packages whose installation asked for it, as far as they are named."""

    packages: list[str]


class RebootRequired(Fact[Asked]):
    """``{"packages": ["linux-image-6.12.117+deb13-amd64"]}``, or ABSENT if nothing asks."""

    def command(self) -> StringCommand:
        return framed(
            "f=/run/reboot-required; if [ -e $f ]; then echo required;"
            " [ ! -e $f.pkgs ] || cat $f.pkgs; else echo none; fi"
        )

    def parse(self, lines: list[str], code: int) -> Asked | Absent | Unknown:
        if lines == ["none"]:
            return ABSENT
        if not lines or lines[0] != "required":
            return Unknown("gpurig cannot look for /run/reboot-required")
        return {"packages": sorted({line.strip() for line in lines[1:]} - {""})}


class BootId(Fact[str]):
    """The id of this boot: another one after each reboot; ABSENT where /proc does not tell."""

    def command(self) -> StringCommand:
        return framed("f=/proc/sys/kernel/random/boot_id; [ -e $f ] || exit 3; cat $f")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code:
            return ABSENT
        return str(UUID("".join(lines)))
