"""NVIDIA's container toolkit, from its signed repository to the CDI spec."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.deploy.repositories import repository
from gpurig.operations.container_toolkit import cdi, programs
from gpurig.operations.container_toolkit import device_links as links
from gpurig.operations.container_toolkit import toolkit as operations
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Container toolkit")
def container_toolkit(stack: Stack, settings: Settings) -> None:
    """Keyring, repository, packages, configuration, CDI spec: each stands on the one before."""
    toolkit = stack.container_toolkit
    if toolkit is None:
        return
    repository(
        stack,
        toolkit.repository,
        keyring="container-toolkit.keyring",
        promise="container-toolkit.repository",
        signed="metadata",
    )
    cdi.readable()
    operations.packages(
        packages=toolkit.packages, minimum=toolkit.minimum_version, version=toolkit.version
    )
    programs.programs()
    operations.config(mode=toolkit.mode)
    cdi.refresh()
    cdi.spec()


@layer("Device links")
def device_links(stack: Stack, settings: Settings) -> None:
    """What containers need to keep their GPUs; comes after Docker, whose runc decides."""
    if stack.container_toolkit is not None:
        links.device_links()
