"""A package repository with its key, for the package manager of the host."""

from __future__ import annotations

from gpurig.operations.shared import apt, dnf
from gpurig.stack.model import Repository, Stack
from gpurig.stack.tables import tables


def repository(
    stack: Stack, wanted: Repository, keyring: str, promise: str, signed: str = "packages"
) -> None:
    """
    The key first, then the repository that is checked against it.

    + keyring, promise: the ids of the two promises
    + signed: what dnf checks, as `dnf.repository` takes it; apt checks all metadata
    """
    if stack.package_manager == "dnf":
        dnf.keyring(promise=keyring, repository=wanted)
        dnf.repository(promise=promise, keyring=keyring, repository=wanted, signed=signed)
    else:
        apt.keyring(promise=keyring, repository=wanted)
        apt.repository(
            promise=promise,
            keyring=keyring,
            repository=wanted,
            architecture=_debian(stack.architecture),
        )


def _debian(machine: str) -> str:
    """What Debian calls the architecture that the kernel calls so."""
    return next(row.debian for row in tables().architecture if row.machine == machine)
