"""The bridge the hosts hang on: lab0, 10.77.0.1/24, with no way out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection
from pathlib import Path

from .commands import run
from .errors import LabError

BRIDGE = "lab0"
GATEWAY = "10.77.0.1"
PREFIX = "10.77.0."


def raise_bridge(folder: Path) -> None:
    """Make the bridge if it is not there; its alias says which lab folder it belongs to."""
    owner = bridge_owner()
    if owner == str(folder):
        return
    if owner is not None:
        raise LabError(f"{BRIDGE} belongs to the lab in {owner or 'an unnamed folder'}")
    run("ip", "link", "add", BRIDGE, "type", "bridge", what="make the lab's bridge")
    run("ip", "link", "set", BRIDGE, "alias", str(folder))
    run("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def bridge_owner() -> str | None:
    """The lab folder the bridge belongs to, "" if it does not say, None without a bridge."""
    shown = subprocess.run(
        ["ip", "-json", "link", "show", BRIDGE], check=False, capture_output=True, text=True
    )
    if shown.returncode:
        return None
    return str(json.loads(shown.stdout)[0].get("ifalias", ""))


def remove_bridge(folder: Path) -> None:
    """Take this lab's bridge away, if it is there."""
    if bridge_owner() == str(folder):
        run("ip", "link", "delete", BRIDGE, what="remove the lab's bridge")


def free_address(taken: Collection[str]) -> str:
    """The lowest address no host has, from 10.77.0.11 upward."""
    for last in range(11, 251):
        if (address := f"{PREFIX}{last}") not in taken:
            return address
    raise LabError("the lab has no free address; remove hosts with `lab down`")
