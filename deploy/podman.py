"""Podman, where it is installed: the GPUs reach its containers by the same CDI spec."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.operations import podman as operations
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack
from gpurig.stack.tables import tables


@layer("Podman")
def podman(stack: Stack, settings: Settings) -> None:
    """Say whether the podman of this host reads the spec that the container toolkit wrote."""
    if stack.container_toolkit is not None:
        operations.cdi(reads={row.first: row.reads for row in tables().podman})
