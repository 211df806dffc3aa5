"""The package system itself, before anything is asked of it."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from gpurig.operations import dpkg
from gpurig.settings import Settings
from gpurig.stack.model import Stack


@deploy("Packages")
def packages(stack: Stack, settings: Settings) -> None:
    """What an interrupted run of dpkg left is finished."""
    dpkg.whole()
