"""Docker: the daemon runs what is on disk, and containers start and find the host's GPUs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.image import TAR
from gpurig.proofs.plugin import Subject, not_applicable


@pytest.fixture(scope="module")
def image(host: Host, needs_docker: None) -> Iterator[str]:
    """A small image of this proof's own; it is removed afterwards."""
    name = f"gpurig-proof:{secrets.token_hex(4)}"
    made = host.run(f"({TAR.strip()}) | docker import - {name}")
    assert made.rc == 0, f"no image can be imported: {made.stderr.strip()}"
    yield name
    host.run("docker rmi --force %s", name)


@pytest.fixture(autouse=True, scope="module")
def needs_docker(stack: dict[str, Any]) -> None:
    """End each proof of this file where Docker is left out."""
    if not stack["docker"]:
        not_applicable("Docker is left out on this host")


def _needs_toolkit(subject: Subject) -> None:
    subject.needs_gpu()
    if not subject.stack["container_toolkit"]:
        not_applicable("the container toolkit is left out on this host")


def _gpus(listing: str) -> list[str]:
    """The GPUs of ``nvidia-smi -L``, one line each."""
    return [line for line in listing.splitlines() if line.startswith("GPU ")]


def _same_gpus(host: Host, subject: Subject, listing: str) -> None:
    outside, inside = _gpus(host.run("nvidia-smi -L").stdout), _gpus(listing)
    subject.detail |= {"host": outside, "container": inside}
    assert len(inside) == len(subject.gpus), f"{len(inside)} GPUs of {len(subject.gpus)} inside"
    # An assumed GPU has no identity that would have to be the same inside and outside.
    assert subject.stack["assumed"] or inside == outside, "other GPUs inside than outside"


@pytest.mark.proof("docker.runs-a-container")
def test_a_container_runs(host: Host, image: str) -> None:
    """A container starts and answers."""
    told = host.run("docker run --rm --network none %s /bin/sh -c 'echo alive'", image)
    assert told.rc == 0, told.stderr.strip()
    assert told.stdout.strip() == "alive", told.stdout


@pytest.mark.proof("docker.running-config")
def test_running_daemon_has_the_configuration_on_disk(host: Host, subject: Subject) -> None:
    """The running daemon has the runtimes that daemon.json names."""
    file = host.file("/etc/docker/daemon.json")
    config = json.loads(file.content_string or "{}") if file.exists else {}
    running = json.loads(host.check_output("docker info --format '{{json .Runtimes}}'"))
    missing = sorted(set(config.get("runtimes", {})) - set(running))
    assert not missing, f"the daemon does not know {', '.join(missing)}"
    subject.detail["runtimes"] = sorted(running)


@pytest.mark.proof("docker.runtime-lists-gpus")
def test_nvidia_runtime_lists_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container under --runtime=nvidia lists the host's GPUs."""
    _needs_toolkit(subject)
    told = host.run(
        "docker run --rm --network none --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all"
        " -e NVIDIA_DRIVER_CAPABILITIES=all %s nvidia-smi -L",
        image,
    )
    assert told.rc == 0, told.stderr.strip() or told.stdout.strip()
    _same_gpus(host, subject, told.stdout)


@pytest.mark.proof("docker.cdi-lists-gpus")
def test_cdi_device_lists_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container with --device nvidia.com/gpu=all lists the host's GPUs."""
    _needs_toolkit(subject)
    version = host.check_output("docker version --format '{{.Server.Version}}'")
    if int(version.split(".")[0]) < 25:
        not_applicable(f"Docker {version} has no CDI devices (they came with 25)")
    told = host.run(
        "docker run --rm --network none --device nvidia.com/gpu=all %s nvidia-smi -L", image
    )
    assert told.rc == 0, told.stderr.strip() or told.stdout.strip()
    _same_gpus(host, subject, told.stdout)


@pytest.mark.proof("docker.socket")
def test_nobody_else_may_use_docker(host: Host) -> None:
    """An account without the group docker is turned away: whoever is not would be root."""
    told = host.run("runuser -u nobody -- docker --host unix:///run/docker.sock info --format ok")
    assert told.rc != 0, "nobody may use Docker, and so may everybody"
    assert "permission denied" in told.stderr, told.stderr.strip()


@pytest.mark.proof("docker.users")
def test_users_may_use_docker(host: Host, subject: Subject) -> None:
    """Each user of rig_users can talk to the daemon after a new login."""
    if not subject.settings.users:
        not_applicable("rig_users names nobody")
    if subject.stack["rootless"]:
        not_applicable("with rig_docker_rootless each user has their own Docker")
    for user in subject.settings.users:
        told = host.run("runuser -u %s -- docker info --format ok", user)
        assert told.rc == 0, f"{user}: {told.stderr.strip()}"
