"""Units of systemd: how they stand now and at the next boot."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Unit(TypedDict):
    """
    One unit, in the words of systemd.

    + load: ``loaded``, ``not-found``, ``masked`` …; active: ``active``, ``failed`` …
    + enabled: ``enabled``, ``disabled``, ``static``, ``masked`` …, empty when there is no file
    + invocation: new at each start, empty when it never ran
    + stale: whether its files have changed since systemd read them
    """

    load: str
    active: str
    enabled: str
    invocation: str
    stale: bool


_FIELDS = {
    "LoadState": "load",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "InvocationID": "invocation",
    "NeedDaemonReload": "stale",
}


class Units(Fact[dict[str, Unit]]):
    """
    Several units with one question.

    + units: their full names, separated by spaces

    ``{"docker.service": {"load": "loaded", "active": "active", "enabled": "enabled",
    "invocation": "04a1…", "stale": False}}``; ABSENT where systemd is not the service manager.
    """

    def command(self, units: str) -> StringCommand:
        return framed(
            StringCommand(
                "[ -d /run/systemd/system ] || exit 3;",
                f"systemctl show --property=Id,{','.join(_FIELDS)} --",
                *(QuoteString(unit) for unit in units.split()),
            )
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Unit] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"systemctl show ended with {code}")
        units: dict[str, Unit] = {}
        for block in "\n".join(lines).split("\n\n"):
            said = dict(line.partition("=")[::2] for line in block.splitlines())
            units[said["Id"]] = Unit(
                load=said["LoadState"],
                active=said["ActiveState"],
                enabled=said.get("UnitFileState", ""),
                invocation=said.get("InvocationID", ""),
                stale=said.get("NeedDaemonReload") == "yes",
            )
        return units
