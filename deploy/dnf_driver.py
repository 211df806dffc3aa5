"""The NVIDIA driver of a host of dnf: stream, repository, lock and packages, then its module."""

from __future__ import annotations

from gpurig.layer import layer
from gpurig.operations import dnf, dnf_driver, initramfs, modprobe
from gpurig.operations import driver as nvidia
from gpurig.promise import left_out
from gpurig.settings import Settings
from gpurig.stack.model import Stack


@layer("Driver by dnf")
def driver(stack: Stack, settings: Settings) -> None:
    """Key, repository, stream, lock, headers, blacklist, packages, module, initramfs, service."""
    wanted = stack.driver
    assert wanted is not None
    if wanted.repository:
        dnf.keyring(layer="driver", repository=wanted.repository)
        dnf.repository(layer="driver", repository=wanted.repository)
    if wanted.packages:  # none where a driver from elsewhere is kept
        if wanted.stream:  # in the repository, so after it; before any of its packages
            dnf_driver.module_stream(stream=wanted.stream)
        dnf_driver.versionlock(branch=wanted.branch)
    if stack.kernel:
        dnf.headers(packages=stack.kernel.packages)
    modprobe.nouveau_blacklist()
    if wanted.packages:
        dnf_driver.driver_packages_dnf(packages=wanted.packages, branch=wanted.branch)
    if wanted.build:
        nvidia.module_for_next_boot(dkms=wanted.dkms, flavour=wanted.flavour)
        initramfs.initramfs()
    if stack.assumed:
        left_out("driver.loaded", "assumed hardware")
    else:
        nvidia.loaded()
    nvidia.persistenced(starts=not stack.assumed)
