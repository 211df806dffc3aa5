"""Docker without root: each user's own daemon, and the host's GPUs in its containers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from gpurig.proofs.gpus import gpus, same_gpus
from gpurig.proofs.image import TAR
from gpurig.proofs.plugin import PROVING, Subject, not_applicable

# As the user, with their home, and with what a login would set.
AS = (
    'cd / && runuser -u "{0}" -- env HOME=$(getent passwd "{0}" | cut -d: -f6)'
    ' XDG_RUNTIME_DIR=/run/user/$(id -u "{0}") docker'
)


@pytest.fixture(autouse=True, scope="module")
def needs_rootless(stack: dict[str, Any]) -> None:
    """End each proof of this file where Docker without root is not asked for."""
    if not stack["rootless"]:
        not_applicable("rootless Docker is not set up on this host")


@pytest.fixture(scope="module")
def images(
    host: Host, pytestconfig: pytest.Config, needs_rootless: None
) -> Iterator[dict[str, str]]:
    """Per user a small image in their own Docker; it is removed afterwards."""
    users = pytestconfig.stash[PROVING].given[2].users
    name = f"gpurig-proof:{secrets.token_hex(4)}"
    for user in users:
        made = host.run(f"({TAR.strip()}) | ({AS.format(user)} import - {name})")
        assert made.rc == 0, f"{user}: docker import failed: {made.stderr.strip()}"
    yield dict.fromkeys(users, name)
    for user in users:
        host.run(f"{AS.format(user)} rmi --force {name}")


@pytest.mark.proof("rootless.daemon")
def test_each_user_has_a_daemon_without_root(host: Host, subject: Subject) -> None:
    """Each user's docker command uses that user's own daemon, which does not run as root."""
    for user in subject.settings.users:
        told = host.run(f"{AS.format(user)} info --format '{{{{json .}}}}'")
        assert told.rc == 0, f"{user}: {told.stderr.strip()}"
        said = json.loads(told.stdout)
        assert "name=rootless" in said.get("SecurityOptions", []), f"{user}: {told.stderr.strip()}"
        process = host.check_output("ps -o user= -C dockerd").split()
        assert user in process, f"no dockerd runs as {user}"


def _lists_gpus(host: Host, subject: Subject, images: dict[str, str], option: str) -> None:
    subject.needs_gpu()
    if not subject.stack["container_toolkit"]:
        not_applicable("the container toolkit is not set up on this host")
    for user, image in images.items():
        told = host.run(f"{AS.format(user)} run --rm --network none {option} {image} nvidia-smi -L")
        assert told.rc == 0, f"{user}: {told.stderr.strip() or told.stdout.strip()}"
        subject.detail[user] = inside = gpus(told.stdout)
        same_gpus(subject, gpus(host.run("nvidia-smi -L").stdout), inside)


@pytest.mark.proof("rootless.cdi-lists-gpus")
def test_cdi_device_lists_the_gpus(host: Host, subject: Subject, images: dict[str, str]) -> None:
    """In each user's Docker a container with --device nvidia.com/gpu=all lists the GPUs."""
    version = host.check_output("docker version --format '{{.Client.Version}}'")
    if int(version.split(".")[0]) < 25:
        not_applicable(f"Docker {version} has no CDI devices (Docker 25 added them)")
    _lists_gpus(host, subject, images, "--device nvidia.com/gpu=all")


@pytest.mark.proof("rootless.runtime-lists-gpus")
def test_nvidia_runtime_lists_the_gpus(
    host: Host, subject: Subject, images: dict[str, str]
) -> None:
    """In each user's Docker a container with --runtime=nvidia lists the GPUs."""
    environment = "-e NVIDIA_VISIBLE_DEVICES=all -e NVIDIA_DRIVER_CAPABILITIES=all"
    _lists_gpus(host, subject, images, f"--runtime=nvidia {environment}")
