"""Podman: whether it reads the CDI spec that names this host's GPUs."""

from __future__ import annotations

from collections.abc import Mapping

from gpurig.contract.fact import read
from gpurig.contract.known import known, sure
from gpurig.contract.promise import Commands, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.container_toolkit.cdi import CdiSpecs
from gpurig.facts.podman import Podman
from gpurig.operations.container_toolkit.cdi_plan import KIND
from gpurig.stack.versions import numbers


# Podman reads /etc/cdi and /var/run/cdi by itself. Only its age can be in the way, and packages of
# a container engine that somebody runs are not moved for that.
@keeps("podman.cdi")
def cdi(reads: Mapping[str, str]) -> Commands:
    """
    A podman that is installed here finds the GPUs in the CDI spec; none is installed for this.

    + reads: first version of podman → highest version of CDI specs that it reads, in rising order
    """
    yield from ()
    version = read(Podman)
    if version is ABSENT:
        return holds("Podman is not installed")
    version, specs = sure(version), known(CdiSpecs)
    ours = [spec for spec in specs if spec["kind"] == KIND]
    if not ours:
        return follows("container-toolkit.cdi")
    taken = [spec for first, spec in reads.items() if numbers(first) <= numbers(version)]
    if not taken:
        return due(f"Podman {version} has no CDI devices (Podman {next(iter(reads))} added them)")
    newest = taken[-1]
    for spec in ours:
        if numbers(spec["version"]) > numbers(newest):
            return due(
                f"Podman {version} reads CDI specs up to {newest}, and"
                f" {spec['path']} has {spec['version']}. Install a newer"
                " Podman, or write a spec of a lower version: nvidia-ctk"
                " cdi generate"
                " --feature-flags=no-additional-gids-for-device-nodes"
                f" --output={spec['path']}"
            )
    holds(f"Podman {version} reads CDI specs up to {newest}")
