"""NVIDIA's container toolkit, from its signed repository to the CDI spec."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.operations.container_toolkit import cdi
from gpurig.operations.container_toolkit import device_links as links
from gpurig.operations.container_toolkit import toolkit as operations
from gpurig.operations.packages import apt, dnf
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as the kernel and as dpkg name them


@layer("Container toolkit")
def container_toolkit(stack: Stack, settings: Settings) -> None:
    """Keyring, repository, packages, configuration, CDI spec: each stands on the one before."""
    toolkit = stack.container_toolkit
    if toolkit is None:
        return
    if stack.package_manager == "dnf":
        dnf.keyring(layer="container-toolkit", repository=toolkit.repository)
        dnf.repository(layer="container-toolkit", repository=toolkit.repository, signed="metadata")
    else:
        apt.keyring(layer="container-toolkit", repository=toolkit.repository)
        apt.repository(
            layer="container-toolkit",
            repository=toolkit.repository,
            architecture=ARCHITECTURES.get(stack.architecture, stack.architecture),
        )
    cdi.readable()
    operations.packages(
        packages=toolkit.packages, minimum=toolkit.minimum_version, version=toolkit.version
    )
    operations.config(mode=toolkit.mode)
    cdi.refresh()
    cdi.spec()


@layer("Device links")
def device_links(stack: Stack, settings: Settings) -> None:
    """What containers need to keep their GPUs; comes after Docker, whose runc decides."""
    if stack.container_toolkit is not None:
        links.device_links()
