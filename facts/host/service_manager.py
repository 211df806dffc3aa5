"""What starts and watches services."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class ServiceManager(Fact[str]):
    """``"systemd"`` where it is PID 1 (the test of sd_booted(3)), else ABSENT."""

    def command(self) -> StringCommand:
        return framed("if [ -d /run/systemd/system ]; then echo systemd; else echo none; fi")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if lines == ["systemd"]:
            return "systemd"
        return (
            ABSENT
            if lines == ["none"]
            else Unknown("gpurig cannot tell which service manager runs")
        )
