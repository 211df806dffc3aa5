"""Podman, where it is installed: its containers find the host's GPUs."""

from __future__ import annotations

import secrets

import pytest
from testinfra.host import Host

from gpurig.proofs.gpus import gpus, same_gpus
from gpurig.proofs.image import TAR
from gpurig.proofs.plugin import Subject, due, not_applicable


@pytest.mark.proof("podman.cdi-lists-gpus")
def test_podman_lists_the_gpus(host: Host, subject: Subject) -> None:
    """A Podman container with --device nvidia.com/gpu=all lists the host's GPUs."""
    subject.needs_gpu()
    if not subject.stack["container_toolkit"]:
        not_applicable("the container toolkit is not set up on this host")
    if not host.exists("podman"):
        not_applicable("podman is not installed")
    name = f"gpurig-proof:{secrets.token_hex(4)}"
    made = host.run(f"({TAR.strip()}) | podman import - {name}")
    assert made.rc == 0, f"podman import failed: {made.stderr.strip()}"
    try:
        # Without a limit of processes, so that a host without that cgroup controller does as well.
        told = host.run(
            "podman run --rm --network none --pids-limit 0 --device nvidia.com/gpu=all %s"
            " nvidia-smi -L",
            name,
        )
    finally:
        host.run("podman rmi --force %s", name)
    whole = "nvidia.com/gpu=all" in host.run("nvidia-ctk cdi list").stdout
    if whole and "unresolvable CDI devices" in told.stderr:
        version = host.run("podman --version").stdout.strip()
        due(f"{version} is too old for the CDI spec; see the promise podman.cdi")
    assert told.rc == 0, told.stderr.strip() or told.stdout.strip()
    subject.detail["container"] = inside = gpus(told.stdout)
    same_gpus(subject, gpus(host.run("nvidia-smi -L").stdout), inside)
