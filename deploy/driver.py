"""The NVIDIA driver, in the order in which its module is built exactly once."""

from __future__ import annotations

from gpurig.deploy.container_toolkit import ARCHITECTURES
from gpurig.deploy.driver_module import driver_module
from gpurig.layer import layer
from gpurig.operations import apt, driver_packages, kernel, modprobe, preferences
from gpurig.settings import Settings
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
        driver_packages.pinning(package=wanted.pinning)
    if stack.kernel:
        kernel.headers(packages=stack.kernel.packages)
    modprobe.nouveau_blacklist()
    if wanted.packages:
        driver_packages.packages(driver=wanted)
    driver_module(stack, settings)
