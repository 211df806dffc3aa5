"""Podman: whether it reads the CDI spec that names this host's GPUs."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.container_toolkit.cdi import CdiSpecs
from gpurig.facts.podman import Podman
from gpurig.operations.container_toolkit.cdi import KIND
from gpurig.stack.versions import numbers


# Podman reads /etc/cdi and /var/run/cdi by itself. Only its age can be in the way, and packages of
# a container engine that somebody runs are not moved for that.
@keeps("podman.cdi")
def cdi(reads: Mapping[str, str]) -> Generator[StringCommand, None, None]:
    """
    A podman that is installed here finds the GPUs in the CDI spec; none is installed for this.

    + reads: first version of podman → highest version of CDI specs that it reads, in rising order
    """
    yield from ()
    version, specs = read(Podman), read(CdiSpecs)
    if version is ABSENT:
        return holds("there is no podman")
    for fact in (version, specs):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(version, str)
    assert isinstance(specs, list)
    ours = [spec for spec in specs if spec["kind"] == KIND]
    if not ours:
        return follows("container-toolkit.cdi")
    known = [spec for first, spec in reads.items() if numbers(first) <= numbers(version)]
    if not known:
        return due(f"podman {version} knows no CDI devices, which came with {next(iter(reads))}")
    for spec in ours:
        if numbers(spec["version"]) > numbers(known[-1]):
            return due(
                f"podman {version} reads CDI specs up to {known[-1]}, and {spec['path']} is of"
                f" {spec['version']}; install a newer podman, or write the spec anew without what"
                " needs its version: nvidia-ctk cdi generate"
                f" --feature-flags=no-additional-gids-for-device-nodes --output={spec['path']}"
            )
    holds(f"podman {version} reads CDI specs up to {known[-1]}")
