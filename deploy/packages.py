"""The package system itself, before anything is asked of it."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.operations.packages import dpkg
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Packages")
def packages(stack: Stack, settings: Settings) -> None:
    """What an interrupted run of dpkg left is finished."""
    dpkg.whole(flavour=stack.driver.flavour if stack.driver else "")
