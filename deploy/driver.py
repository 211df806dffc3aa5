"""The NVIDIA driver, in the order in which its module is built exactly once."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.deploy.container_toolkit import ARCHITECTURES
from gpurig.deploy.driver_module import driver_module
from gpurig.operations import kernel
from gpurig.operations.driver import modprobe, packages, preferences
from gpurig.operations.packages import apt
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Driver")
def driver(stack: Stack, settings: Settings) -> None:
    """Sources and pins, headers, blacklist, packages; then its module."""
    wanted = stack.driver
    assert wanted is not None
    if wanted.components:
        apt.components(components=wanted.components, mirror=settings.apt_mirror)
    if wanted.repository:
        dpkg_name = ARCHITECTURES.get(stack.architecture, stack.architecture)
        apt.keyring(layer="driver", repository=wanted.repository)
        apt.repository(layer="driver", repository=wanted.repository, architecture=dpkg_name)
    if wanted.packages:  # none where a driver from elsewhere is kept
        preferences.preferences(driver=wanted)
    if wanted.repository:
        packages.pinning(package=wanted.pinning)
    if stack.kernel:
        kernel.headers(packages=stack.kernel.packages)
    modprobe.nouveau_blacklist()
    if wanted.packages:
        packages.packages(driver=wanted)
    driver_module(stack, settings)
