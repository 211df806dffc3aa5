"""Whole runs of Docker's operations: killed anywhere, and on hosts that others set up before."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gpurig.operations.docker_daemon import wanted
from gpurig.promise import Verdict
from lab.lab import Lab
from lab.plugin import Boot

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


@pytest.mark.parametrize(("start", "first"), STARTS.values(), ids=STARTS)
def test_killed_at_any_command_the_next_run_converges(lab: Lab, start: str, first: int) -> None:
    """At each point daemon.json can be read, dockerd starts, and one run brings the rest."""
    if "docker run" in start:
        lab.import_base_image(passes.host, "base")
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


def test_docker_io_with_containers_stays_up_until_a_restart_is_asked_for() -> None:
    """What a reload can do is done; what stops containers is due, by name, until it is wanted."""
    passes.shell(f"docker rm --force mine 2>/dev/null; rm -f {FILE} {RECORD}; {RESTART}")
    _containers("mine", "db")
    before = _states()

    found = passes.up(deployed)["docker.running-config"]

    assert found.verdict is Verdict.DUE
    assert "2 running containers: mine; db (started again, as restart=always)" in found.reason
    assert "--restart-docker" in found.reason
    assert "nvidia" in passes.shell("docker info --format '{{json .Runtimes}}'")
    assert _states() == before, "nothing was restarted"
    ids = passes.shell(IDS)

    def restarting() -> None:
        docker_run(PACKAGES, KEYS, restart=True)

    planned = passes.plan(restarting)["docker.running-config"]
    assert planned.verdict is Verdict.DRIFTED
    assert "which stops 2 running containers: mine; db" in planned.will
    assert all_hold(passes.up(restarting))
    assert all_hold(passes.plan(deployed))
    running = passes.shell("docker ps --format '{{.Names}}'").split()
    assert running == ["db"], "as its restart policy says"
    assert passes.shell("docker ps --all --no-trunc --quiet | sort") == ids, "none was removed"


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
