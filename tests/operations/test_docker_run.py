"""Whole runs of Docker's operations: killed anywhere, and on hosts that others set up before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpurig.contract.finding import Verdict
from gpurig.operations.shared.daemon_json import wanted
from lab.lab import Lab
from lab.plugin import Boot
from system.person import Person

from .killed import AFTER, BEFORE, docker_run, killed
from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

FILE, RECORD = "/etc/docker/daemon.json", "/run/gpurig/docker-config"
PACKAGES = ("docker.io", "docker-cli")
KEYS = wanted({"log-opts": {"max-size": "5m"}}, nvidia=True, cdi=True)
RESTART = "systemctl reset-failed docker.service; systemctl restart docker.service"
ENDED = "while pgrep -x 'apt-get|dpkg|systemctl' >/dev/null; do sleep 0.1; done"
IDS = "docker ps --no-trunc --quiet | sort"

passes: Passes


def deployed() -> None:
    """A run as the deploys make it."""
    docker_run(PACKAGES, KEYS)


@pytest.fixture(scope="module", autouse=True)
def _host(boot: Boot) -> Iterator[None]:
    """A bare host, which the tests of this file change one after the other."""
    global passes
    passes = Passes.over(boot("trixie", "dkrun"))
    yield
    passes.link.close()


@pytest.fixture(scope="module")
def image(lab: Lab) -> None:
    """An image, "base", once Docker is there."""
    lab.import_base_image(passes.host, "base")


def test_killed_while_docker_is_installed_the_next_run_converges() -> None:
    """From bare: apt goes on without us or ends half-way, and one run makes a right host of it."""
    assert killed(passes.host, (PACKAGES, KEYS), 1, AFTER)

    assert all_hold(passes.up(deployed))
    assert all_hold(passes.up(deployed)), "and a second run finds nothing"


# How a host is before the run that is killed; and from which of its commands on: those before
# are the same as from "packages only", where the daemon does not run yet.
STARTS = {
    "packages only": (
        f"systemctl disable -q --now docker.socket docker.service; rm -f {FILE} {RECORD}",
        1,
    ),
    "running as its package left it": (
        f"rm -f {FILE} {RECORD}; {RESTART}; systemctl enable -q docker.socket docker.service",
        6,
    ),
    "with a container": (
        f"echo '{json.dumps({k: v for k, v in KEYS.items() if k != 'runtimes'})}' > {FILE};"
        f" rm -f {RECORD}; sleep 0.1; {RESTART}; docker run --detach --quiet --name mine base"
        " sleep 3000 >/dev/null",
        6,
    ),
}


LONG = ("packages only", "with a container")


@pytest.mark.parametrize(
    ("start", "first"),
    [
        pytest.param(*row, id=name, marks=[pytest.mark.long] if name in LONG else [])
        for name, row in STARTS.items()
    ],
)
@pytest.mark.usefixtures("image")
def test_killed_at_any_command_the_next_run_converges(start: str, first: int) -> None:
    """At each point daemon.json can be read, dockerd starts, and one run brings the rest."""
    points = 0
    for nth in range(first, 30):
        for when in (BEFORE, AFTER):
            passes.shell(f"docker rm --force mine >/dev/null 2>&1; {start}")
            before = passes.shell(f"{IDS} 2>/dev/null || :") if "docker run" in start else ""
            if not killed(passes.host, (PACKAGES, KEYS), nth, when):
                assert points > 1, "no command of this run was killed"
                return
            points += 1
            at = f"killed {when}, command {nth}"
            json.loads(passes.shell(f"cat {FILE} 2>/dev/null || echo '{{}}'"))
            passes.shell(f"{ENDED}; systemctl start docker.service")
            passes.link.apply(deployed)
            assert all_hold(passes.plan(deployed)), at
            if before:
                assert passes.shell(IDS) == before, at
    raise AssertionError("the run never ended")


def _containers(*names: str) -> str:
    policy = {"mine": "no", "db": "always"}
    for name in names:
        passes.shell(f"docker run --detach --restart {policy[name]} --name {name} base sleep 3000")
    return passes.shell(IDS)


def _states(names: str = "mine db") -> str:
    """When these containers were started: a container that was restarted has another time."""
    return passes.shell(f"docker inspect --format '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {names}")


@pytest.mark.usefixtures("image")
def test_docker_io_with_containers_stays_up_until_a_restart_is_asked_for() -> None:
    """What a reload can do is done; what stops containers is due, by name, until it is wanted."""
    passes.shell(f"docker rm --force mine 2>/dev/null; rm -f {FILE} {RECORD}; {RESTART}")
    _containers("mine", "db")
    before = _states()

    found = passes.up(deployed)["docker.running-config"]

    assert found.verdict is Verdict.DUE
    assert "2 running containers: mine; db (start again, restart=always)" in found.reason
    assert "--restart-docker" in found.reason
    assert "nvidia" in passes.shell("docker info --format '{{json .Runtimes}}'")
    assert _states() == before, "nothing was restarted"
    ids = passes.shell(IDS)

    def restarting() -> None:
        docker_run(PACKAGES, KEYS, restart=True)

    planned = passes.plan(restarting)["docker.running-config"]
    assert planned.verdict is Verdict.DRIFTED
    assert "and stop 2 running containers: mine; db" in planned.will
    assert all_hold(passes.up(restarting))
    assert all_hold(passes.plan(deployed))
    running = passes.shell("docker ps --format '{{.Names}}'").split()
    assert running == ["db"], "as its restart policy says"
    assert passes.shell("docker ps --all --no-trunc --quiet | sort") == ids, "none was removed"


@pytest.mark.usefixtures("image")
def test_with_live_restore_containers_outlive_the_first_run() -> None:
    """Live-restore is reloaded first, then the restart leaves every container running."""
    passes.shell(f"docker rm --force mine db; rm -f {FILE} {RECORD}; {RESTART}")
    _containers("mine", "db")
    before = _states()

    def outlived() -> None:
        keys = wanted({"live-restore": True}, nvidia=True, cdi=True)
        docker_run(PACKAGES, keys)

    assert all_hold(passes.up(outlived)), "one run, and nothing is due"
    assert all_hold(passes.up(outlived))
    assert _states() == before
    passes.shell("docker rm --force mine db")


THEIRS: dict[str, Any] = {
    "labels": ["größe=1", "room=<b&w>"],
    "dns": ["10.77.0.1"],
    "log-driver": "local",
    "max-concurrent-downloads": 2,
    "runtimes": {"mine": {"path": "/usr/sbin/runc", "runtimeArgs": ["--debug"]}},
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 4096, "Soft": 1024}},
    "features": {"containerd-snapshotter": False},
    "registry-mirrors": ["https://mirror.example"],
    "insecure-registries": ["registry.example:5000"],
    "shutdown-timeout": 20,
    "userland-proxy": False,
    "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}],
    "exec-opts": ["native.cgroupdriver=systemd"],
    "builder": {"gc": {"enabled": True, "defaultKeepStorage": "10GB"}},
    "debug": True,
}


@pytest.mark.usefixtures("image")
def test_the_command_line_restarts_docker_only_when_told_to(tmp_path: Path) -> None:
    """`up` says what is due; with --restart-docker it does it, and nothing is."""
    passes.shell(f"rm -f {FILE} {RECORD}; {RESTART}")
    _containers("mine", "db")
    name, person = passes.host.name, Person(tmp_path)
    inventory = person.inventory(
        {name: passes.host.ssh_data()},
        rig_components=["docker"],
        rig_docker_daemon={"log-opts": {"max-size": "9m"}},
    )
    words = ("up", inventory, "--json", "--prove", "never")

    waiting = person.gpurig(*words)
    assert waiting.code == 4, waiting.problems
    assert waiting.verdicts(name, "final")["docker.running-config"] == "due"
    assert passes.shell("docker ps --format '{{.Names}}' | sort").split() == ["db", "mine"]

    done = person.gpurig(*words, "--restart-docker")
    assert done.code == 4, "right, and not proven"
    assert "due" not in done.verdicts(name, "final").values()
    assert "docker.running-config" in done.changed(name)
    assert passes.shell("docker ps --format '{{.Names}}'").split() == ["db"]
    passes.shell("docker rm --force mine db")


@pytest.mark.usefixtures("image")
def test_fifteen_foreign_keys_keep_values_order_and_place() -> None:
    """A hand-made daemon.json has its keys afterwards, in their order, and ours beside them."""
    assert len(THEIRS) == 15
    passes.host.write(FILE, json.dumps(THEIRS, indent=3, ensure_ascii=False), mode=0o640)
    passes.shell(f"chown root:docker {FILE}; {RESTART}")
    passes.shell("docker run --detach --name mine base sleep 3000")
    before, ids = _states("mine"), passes.shell(IDS)

    first = passes.up(deployed)["docker.running-config"]
    assert first.verdict is Verdict.DUE, "the container outlives it"
    assert _states("mine") == before
    passes.shell("docker rm --force mine")
    assert all_hold(passes.up(deployed))
    assert all_hold(passes.up(deployed))

    assert ids
    config = json.loads(passes.shell(f"cat {FILE}"))
    ours = ["log-opts"]
    assert list(config) == [*THEIRS, *ours]
    assert list(config["runtimes"]) == ["mine", "nvidia"]
    del config["runtimes"]["nvidia"], config["features"]["cdi"], config["log-opts"]
    assert config == THEIRS
    assert passes.shell(f"stat -c '%a %U:%G' {FILE}").split() == ["640", "root:docker"]
    assert '\n   "labels"' in passes.shell(f"cat {FILE}"), "with its own indentation"


def test_what_is_wished_for_is_in_effect(lab: Lab) -> None:
    """Log rotation, data-root, mirrors, shared memory and live-restore: as dockerd itself tells."""
    wishes = {
        "log-driver": "json-file",
        "log-opts": {"max-size": "7m", "max-file": "2"},
        "data-root": "/srv/docker",
        "registry-mirrors": ["https://mirror.example"],
        "default-shm-size": "128m",
        "live-restore": True,
        "runtimes": {"mine": {"path": "/usr/sbin/runc"}},
        "default-runtime": "mine",
    }
    passes.shell(f"echo '{{}}' > {FILE}; {RESTART}")
    keys = wanted(wishes, nvidia=True, cdi=True)

    def wished() -> None:
        docker_run(PACKAGES, keys)

    assert all_hold(passes.up(wished))

    info = json.loads(passes.shell("docker info --format '{{json .}}'"))
    assert info["DockerRootDir"] == "/srv/docker"
    assert info["LiveRestoreEnabled"] is True
    assert info["RegistryConfig"]["Mirrors"] == ["https://mirror.example/"]
    assert info["DefaultRuntime"] == "mine"
    lab.import_base_image(passes.host, "base")
    passes.shell("docker run --detach --name mine base sleep 3000")
    logs = json.loads(passes.shell("docker inspect --format '{{json .HostConfig.LogConfig}}' mine"))
    assert logs == {"Type": "json-file", "Config": {"max-size": "7m", "max-file": "2"}}
    assert passes.shell("docker exec mine df -m /dev/shm").split()[-5] == "128"

    for dropped in ("default-runtime", "default-shm-size"):
        config = json.loads(passes.shell(f"cat {FILE}"))
        del config[dropped]
        passes.host.write(FILE, json.dumps(config))
        passes.shell(RESTART)
        found = passes.plan(wished)["docker.daemon-config"]
        assert (found.verdict, found.actual) == (Verdict.DRIFTED, f"no {dropped}")
        assert all_hold(passes.up(wished))
    assert passes.shell("docker ps --format '{{.Names}}'").split() == ["mine"]
