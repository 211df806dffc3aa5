"""Containers find exactly the host's GPUs: by each way, as other users, after daemon-reload."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gpurig.proofs.gpus import gpus, same_gpus
from gpurig.proofs.plugin import RESTART, Subject, due, not_applicable, not_run

pytestmark = pytest.mark.usefixtures("needs_docker")

RUN = "docker run --rm --network none"
BY_RUNTIME = "--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all -e NVIDIA_DRIVER_CAPABILITIES=all"
BY_CDI = "--device nvidia.com/gpu=all"
BY_FLAG = "--gpus all -e NVIDIA_DRIVER_CAPABILITIES=all"
ISSUE = "issue 48 of NVIDIA/nvidia-container-toolkit"
NOBODY = "65534:65534"  # a user and a group without rights, in containers as on hosts
# Opened, and not only listed: a node that the container may not use is still there.
OPEN = "/bin/sh -c 'for node in /dev/nvidia[0-9]* /dev/nvidiactl; do ( : < $node ); done'"
REFUSED = ("Operation not permitted", "Permission denied")  # by the control group, by the mode


@pytest.fixture(autouse=True)
def _needs_toolkit(subject: Subject) -> None:
    subject.needs_gpu()
    if not subject.stack["container_toolkit"]:
        not_applicable("the container toolkit is not set up on this host")


def _version(host: Host) -> str:
    return str(host.check_output("docker version --format '{{.Server.Version}}'"))


def _looks_for_cdi(host: Host) -> bool:
    """Whether the daemon that runs has CDI switched on."""
    return bool(
        json.loads(host.check_output("docker info --format '{{json .}}'")).get("CDISpecDirs")
    )


def _same_gpus(host: Host, subject: Subject, told: CommandResult) -> None:
    # runc's errors come over several lines, and the last one says most
    assert told.rc == 0, " ".join((told.stderr.strip() or told.stdout.strip()).split())
    outside, inside = gpus(host.run("nvidia-smi -L").stdout), gpus(told.stdout)
    subject.detail |= {"host": outside, "container": inside}
    same_gpus(subject, outside, inside)


def _may_open(told: CommandResult) -> None:
    refused = [line for line in told.stderr.splitlines() if line.endswith(REFUSED)]
    assert not refused, refused[0].rpartition("cannot open ")[2]


@pytest.mark.proof("docker.runtime-lists-gpus")
def test_nvidia_runtime_lists_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container with --runtime=nvidia lists the host's GPUs."""
    _same_gpus(host, subject, host.run(f"{RUN} {BY_RUNTIME} %s nvidia-smi -L", image))


@pytest.mark.proof("docker.cdi-lists-gpus")
def test_cdi_device_lists_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container with --device nvidia.com/gpu=all lists the host's GPUs."""
    if int((version := _version(host)).split(".")[0]) < 25:
        not_applicable(f"Docker {version} has no CDI devices (Docker 25 added them)")
    if not _looks_for_cdi(host) and host.check_output("docker ps --quiet"):
        due(f"Docker finds no CDI specs until it restarts, and containers are running: {RESTART}")
    _same_gpus(host, subject, host.run(f"{RUN} {BY_CDI} %s nvidia-smi -L", image))


@pytest.mark.proof("docker.gpus-flag-lists-gpus")
def test_gpus_flag_lists_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container with --gpus all lists the host's GPUs."""
    if subject.stack["assumed"]:
        not_run("assumed hardware: --gpus uses nvidia-container-cli, which asks the loaded module")
    _same_gpus(host, subject, host.run(f"{RUN} {BY_FLAG} %s nvidia-smi -L", image))


@pytest.mark.proof("docker.gpus-without-root")
def test_a_container_without_root_uses_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """A container that does not run as root lists the host's GPUs and opens their device nodes."""
    run = f"{RUN} --user {NOBODY} {BY_RUNTIME} %s"
    _same_gpus(host, subject, host.run(f"{run} nvidia-smi -L", image))
    _may_open(host.run(f"{run} {OPEN}", image))


@pytest.mark.proof("docker.users-list-gpus")
def test_users_list_the_gpus(host: Host, subject: Subject, image: str) -> None:
    """Each user of rig_users starts a container that runs as that user and lists the GPUs."""
    if not subject.settings.users:
        not_applicable("rig_users is empty")
    if subject.stack["rootless"]:
        not_applicable("rig_docker_rootless gives each user their own Docker")
    for user in subject.settings.users:
        ids = host.check_output("echo $(id -u %s):$(id -g %s)", user, user)
        run = f"runuser -u %s -- {RUN} --user {ids} {BY_RUNTIME} %s nvidia-smi -L"
        _same_gpus(host, subject, host.run(run, user, image))


@pytest.fixture
def running(host: Host, image: str) -> Iterator[list[str]]:
    """Containers with GPUs that go on running, one by each way that this Docker has."""
    ways = [BY_RUNTIME, *([BY_CDI] if _looks_for_cdi(host) else [])]
    names = [f"{image.replace(':', '-')}-{number}" for number in range(len(ways))]
    try:
        for way, name in zip(ways, names, strict=True):
            started = host.run(f"{RUN} --detach {way} --name %s %s /bin/sleep 600", name, image)
            assert started.rc == 0, " ".join(started.stderr.split())
        yield names
    finally:
        host.run("docker rm --force " + " ".join(names))


def _would_lose(host: Host) -> list[str]:
    """Names of running containers that hold GPUs of which systemd was not told."""
    found = []
    for told in host.run(
        "docker ps --quiet | xargs -r docker inspect --format '{{.State.Pid}} {{.Id}} {{.Name}}'"
    ).stdout.splitlines():
        pid, container, name = told.split()
        has = host.run("test -e /proc/%s/root/dev/nvidiactl", pid).rc == 0
        scope = f"docker-{container}.scope"
        if has and "/195:" not in host.run(f"systemctl show {scope} -p DeviceAllow").stdout:
            found.append(name.lstrip("/"))
    return found


@pytest.mark.proof("docker.gpus-after-daemon-reload")
def test_a_running_container_keeps_its_gpus(
    host: Host, subject: Subject, running: list[str]
) -> None:
    """Running containers keep their GPUs after systemctl daemon-reload."""
    systemd = host.check_output("docker info --format '{{.CgroupDriver}}'") == "systemd"
    # The reload of this proof must take nothing from the containers of the user.
    theirs = [name for name in _would_lose(host) if name not in running] if systemd else []
    if theirs:
        not_run(f"daemon-reload would take the GPUs from {', '.join(theirs)} ({ISSUE})")
    for name in running:
        _same_gpus(host, subject, host.run("docker exec %s nvidia-smi -L", name))
    host.check_output("systemctl daemon-reload")
    for name in running:
        _may_open(host.run(f"docker exec %s {OPEN}", name))
        _same_gpus(host, subject, host.run("docker exec %s nvidia-smi -L", name))
