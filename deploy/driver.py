"""The NVIDIA driver, in the order in which its module is built exactly once."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.deploy.driver_module import driver_module
from gpurig.deploy.repositories import repository
from gpurig.operations import kernel
from gpurig.operations.driver import modprobe, packages, preferences
from gpurig.operations.packages import sources
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Driver", together=True)
def driver(stack: Stack, settings: Settings) -> None:
    """Sources and pins, headers, blacklist, packages; then its module."""
    wanted = stack.driver
    assert wanted is not None
    if wanted.components:
        sources.components(
            components=wanted.components, archive=stack.archive, mirror=settings.apt_mirror
        )
    if wanted.repository:
        repository(stack, wanted.repository, keyring="driver.keyring", promise="driver.repository")
    if wanted.packages:  # none where a driver from elsewhere is kept
        preferences.preferences(driver=wanted, archive=stack.archive)
    if wanted.repository:
        packages.pinning(package=wanted.pinning)
    if stack.kernel:
        kernel.headers(packages=stack.kernel.packages)
    modprobe.nouveau_blacklist()
    if wanted.packages:
        packages.packages(driver=wanted)
    driver_module(stack, settings)
