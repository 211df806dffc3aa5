"""The NVIDIA driver of a host of dnf: stream, repository, lock and packages, then its module."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.deploy.driver_module import driver_module
from gpurig.deploy.repositories import repository
from gpurig.operations import kernel
from gpurig.operations.driver import modprobe, packages_dnf
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Driver by dnf", together=True)
def driver(stack: Stack, settings: Settings) -> None:
    """Key, repository, stream, lock, headers, blacklist, packages; then its module."""
    wanted = stack.driver
    assert wanted is not None
    if wanted.repository:
        repository(stack, wanted.repository, keyring="driver.keyring", promise="driver.repository")
    if wanted.packages:  # none where a driver from elsewhere is kept
        if wanted.stream:  # in the repository, so after it; before any of its packages
            packages_dnf.module_stream(stream=wanted.stream)
        packages_dnf.versionlock(branch=wanted.branch)
    if stack.kernel:
        kernel.headers_dnf(packages=stack.kernel.packages)
    modprobe.nouveau_blacklist()
    if wanted.packages:
        packages_dnf.driver_packages_dnf(
            packages=wanted.packages, branch=wanted.branch, oldest=wanted.oldest
        )
    driver_module(stack, settings)
