"""Services of systemd: running now and at the next boot."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import Commands
from gpurig.facts.host.systemd import Unit, Units


def masked(units: dict[str, Unit]) -> list[str]:
    """The units that somebody masked."""
    return [name for name, unit in units.items() if "masked" in (unit["load"], unit["enabled"])]


def masked_by_hand(*names: str) -> list[str]:
    """Those of these units that somebody masked, as far as systemd tells."""
    units = read(Units, units=" ".join(names))
    return masked(units) if isinstance(units, dict) else []


def told_masked(units: Sequence[str], component: str) -> str:
    """What a person can do about masked units, which stay so unless the settings ask for them."""
    are = "is" if len(units) == 1 else "are"
    return (
        f"{' and '.join(units)} {are} masked; run systemctl unmask"
        f" {' '.join(units)}, or list {component} in rig_components"
    )


def lacking(units: dict[str, Unit]) -> list[str]:
    """What keeps these units from running now and after a reboot, as short sentences."""
    found = []
    off = masked(units)
    for name, unit in units.items():
        if name in off:
            found.append(f"{name} is masked")
        elif unit["load"] != "loaded":
            found.append(f"{name} is {unit['load']}")
        elif unit["enabled"] in ("disabled", "enabled-runtime", "linked"):
            found.append(f"{name} is {unit['enabled']}")
        elif unit["stale"]:
            found.append(f"systemd has not read the present files of {name}")
        # "activating" may be a unit that systemd starts over and over
        if unit["active"] not in ("active", "reloading") and name not in off:
            found.append(f"{name} is {unit['active']}")
    return found


def running(units: dict[str, Unit], names: Sequence[str]) -> Commands:
    """The commands that make these units run now and at the next boot; only what is missing."""
    if any(units[name]["stale"] for name in names):
        yield StringCommand("systemctl daemon-reload")
    hidden = masked({name: units[name] for name in names})
    if hidden:
        yield StringCommand("systemctl unmask", *map(QuoteString, hidden))
    # a mask hides whether the unit was enabled; enabling twice changes nothing
    off = [name for name in names if name in hidden or units[name]["enabled"] != "enabled"]
    if off:
        yield StringCommand("systemctl enable", *map(QuoteString, off))
    down = [name for name in names if units[name]["active"] not in ("active", "reloading")]
    if down:
        # a unit that failed too often in a row is only started again after this
        yield StringCommand("systemctl reset-failed", *map(QuoteString, down), "2>/dev/null || :")
        yield StringCommand("systemctl start", *map(QuoteString, down))
