"""Podman, where somebody has installed it."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Podman(Fact[str]):
    """The version of the installed podman, ``"5.4.2"``; ABSENT without it."""

    def command(self) -> StringCommand:
        return framed("tool podman podman || exit 3; podman --version")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        words = next((line.split() for line in lines if "version" in line), [])
        return words[-1] if words and not code else Unknown("podman --version failed")
