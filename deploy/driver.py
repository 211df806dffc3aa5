"""The NVIDIA driver, in the order in which its module is built exactly once."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from gpurig.operations import apt, driver as nvidia, initramfs, kernel, modprobe, packages
from gpurig.promise import left_out
from gpurig.settings import Settings
from gpurig.stack.model import Stack


@deploy("Driver")
def driver(stack: Stack, settings: Settings) -> None:
    """Archive components, headers, blacklist, packages, module, initramfs, service, the module."""
    wanted = stack.driver
    assert wanted is not None
    apt.components(wanted.components, settings.apt_mirror)
    if stack.kernel:
        kernel.headers(stack.kernel.packages)
    modprobe.nouveau_blacklist()
    packages.packages("driver", wanted.packages)
    if wanted.build:
        nvidia.module_for_next_boot(wanted.dkms, wanted.flavour)
        initramfs.initramfs()
    if stack.assumed:
        left_out("driver.loaded", "assumed hardware")
    else:
        nvidia.loaded()
    nvidia.persistenced(starts=not stack.assumed)
