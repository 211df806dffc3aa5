"""Docker: the daemon runs what is on disk, containers start, users may start them."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from gpurig.proofs.plugin import RESTART, Subject, due, not_applicable

pytestmark = pytest.mark.usefixtures("needs_docker")


@pytest.mark.proof("docker.runs-a-container")
def test_a_container_runs(host: Host, image: str) -> None:
    """A container starts and answers."""
    told = host.run("docker run --rm --network none %s /bin/sh -c 'echo alive'", image)
    assert told.rc == 0, told.stderr.strip()
    assert told.stdout.strip() == "alive", told.stdout


# What `docker info` tells by value of the keys of daemon.json.
TOLD = {
    "default-runtime": "DefaultRuntime",
    "live-restore": "LiveRestoreEnabled",
    "log-driver": "LoggingDriver",
    "debug": "Debug",
}


@pytest.mark.proof("docker.running-config")
def test_running_daemon_has_the_configuration_on_disk(host: Host, subject: Subject) -> None:
    """The running daemon uses daemon.json, as far as docker info shows it."""
    file = host.file("/etc/docker/daemon.json")
    config = json.loads(file.content_string or "{}") if file.exists else {}
    running = json.loads(host.check_output("docker info --format '{{json .}}'"))
    subject.detail["runtimes"] = sorted(running["Runtimes"])
    missing = sorted(set(config.get("runtimes", {})) - set(running["Runtimes"]))
    assert not missing, f"the daemon does not know the runtime {', '.join(missing)}"
    late = []  # what only a restart takes
    for key, told in TOLD.items():
        if config.get(key, running[told]) != running[told]:
            late.append(f"the daemon does not use the {key} of daemon.json")
    if config.get("features", {}).get("cdi") and not running.get("CDISpecDirs"):
        late.append("the daemon does not look for CDI specs")
    if late and running["ContainersRunning"]:
        due(f"{late[0]} until it restarts, and containers are running: {RESTART}")
    assert not late, late[0]
    unlabelled = sorted(set(config.get("labels", [])) - set(running.get("Labels") or []))
    assert not unlabelled, f"the daemon lacks the label {', '.join(unlabelled)}"


@pytest.mark.proof("docker.socket")
def test_nobody_else_may_use_docker(host: Host) -> None:
    """Users outside the group docker cannot use Docker (access means root)."""
    told = host.run("runuser -u nobody -- docker --host unix:///run/docker.sock ps --quiet")
    assert told.rc != 0, 'any user can use Docker: the user "nobody" got an answer from the socket'
    assert "permission denied" in told.stderr, told.stderr.strip()


@pytest.mark.proof("docker.proxy")
def test_the_daemon_has_the_proxy_of_the_settings(host: Host, subject: Subject) -> None:
    """The daemon uses the proxy of rig_proxy, or one that the user gave it."""
    if not subject.settings.proxy:
        not_applicable("rig_proxy is not set")
    wanted = subject.settings.proxy.rpartition("@")[2].removeprefix("http://")
    said = host.check_output("docker info --format '{{.HTTPSProxy}}'")
    has = said.rpartition("@")[2].removeprefix("http://").rstrip("/")
    subject.detail["proxy"] = has
    if not has and host.check_output("docker ps --quiet"):
        due(f"the daemon has no proxy until it restarts, and containers are running: {RESTART}")
    assert has, "the daemon has no proxy"
    if has != wanted.rstrip("/"):
        subject.remark = f"the daemon uses another proxy, {has}"


@pytest.mark.proof("docker.users")
def test_users_may_use_docker(host: Host, subject: Subject) -> None:
    """Each user of rig_users can use Docker after a new login."""
    if not subject.settings.users:
        not_applicable("rig_users is empty")
    if subject.stack["rootless"]:
        not_applicable("rig_docker_rootless gives each user their own Docker")
    for user in subject.settings.users:
        # `docker info` ends with 0 although the daemon refused it
        told = host.run("runuser -u %s -- docker version --format '{{.Server.Version}}'", user)
        assert told.rc == 0, f"{user}: {told.stderr.strip()}"
