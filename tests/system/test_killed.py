"""A run whose control process is killed: the first `up` after it converges, and leaves nothing."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.nvidia import nvidia
from lab.plugin import Boot
from lab.states import state
from system import laws
from system.killing import LEFT, Watch, bytecode, commands, objects, packages, up_to, wheels
from system.person import Person, settings

pytestmark = pytest.mark.lab

BLACKWELL = "10de:2b85"
DOCKER = {"rig_components": ["docker"]}
DRIVER = {"rig_components": ["driver"], "rig_assume_gpu": [BLACKWELL]}
TOOLKIT = DRIVER | {"rig_components": ["driver", "docker", "container-toolkit"]}
CUDA = DRIVER | {"rig_cuda": "13.0"}
JAX = {"rig_components": ["environments"], "rig_frameworks": ["jax"]}
HOROVOD = JAX | {"rig_frameworks": ["horovod"]}


class Point(NamedTuple):
    """
    Where a run is killed.

    + wishes: settings; watch: what is counted; least, most: between which numbers it is killed
    """

    wishes: dict[str, Any]
    watch: Watch
    least: int
    most: int


POINTS = {
    "docker unpacked": Point(DOCKER, packages, 1, 90),
    "docker set up": Point(DOCKER, commands, 515, 750),
    "driver unpacked": Point(DRIVER, packages, 1, 80),
    "driver set up": Point(DRIVER, commands, 600, 800),
    "toolkit set up": Point(TOOLKIT, commands, 600, 1000),
    "CUDA unpacked": Point(CUDA, packages, 1, 95),
    "environment unpacked": Point(JAX, wheels, 1, 10),
    "environment compiled": Point(JAX, bytecode, 1, 1000),
    "Horovod compiled": Point(HOROVOD, objects, 1, 60),
}
SEEDS = 40


def _inventory(person: Person, lab: Lab, host: Host, wishes: dict[str, Any]) -> Path:
    data = settings(lab) | wishes
    if "driver" in wishes["rig_components"]:
        there = nvidia(lab)
        places = {"url": there.url, "fingerprint": there.fingerprint}
        data["rig_repositories"] |= {"nvidia": places}
    return person.inventory({host.name: host.ssh_data()}, **data)


def _converges(person: Person, host: Host, inventory: Path) -> None:
    """The first `up` and the plan after it; nothing of the run that was killed stays."""
    up = person.gpurig("up", inventory, "-y", "--json", "--prove", "never")
    assert up.code in (0, 4), up.problems
    assert not up.json["errors"], up.problems
    plan = person.gpurig("plan", inventory, "--json")
    assert plan.code in (0, 4), plan.problems
    laws.nothing_to_do(plan, host.name)
    assert not host.run(LEFT, check=False).stdout
    assert not host.run("dpkg --audit").stdout


@pytest.fixture(scope="module")
def there(boot: Boot, lab: Lab, person: Person) -> tuple[Host, Path]:
    """A host that gets Docker, and its inventory."""
    host = boot("trixie", "killed")
    return host, _inventory(person, lab, host, DOCKER)


def test_killed_while_apt_unpacks(there: tuple[Host, Path], person: Person) -> None:
    """The retry comes while apt goes on."""
    host, inventory = there
    with up_to(host, person, inventory, packages, 20):
        pass
    assert host.run("pgrep -x dpkg", check=False).stdout, "it outlives its run"
    _converges(person, host, inventory)


def test_of_two_at_once_one_works_and_a_retry_after_ctrl_c_converges(
    there: tuple[Host, Path], person: Person, somebody: Person, lab: Lab
) -> None:
    """The second is refused, with the name of the first; nothing is waited for between the two."""
    host, inventory = there
    host.run("apt-get -qq -y autoremove --purge docker.io")
    with up_to(host, person, inventory, packages, 1) as first:
        host.run("pkill -STOP -x apt-get")  # it is at work until the other one has answered
        other = somebody.gpurig("up", _inventory(somebody, lab, host, DOCKER), "-y", "--json")
        host.run("pkill -CONT -x apt-get")
        assert [error["code"] for error in other.json["errors"]] == ["host-locked"]
        first.send_signal(signal.SIGINT)
        first.wait()
    _converges(person, host, inventory)


def test_a_connection_that_breaks_while_apt_unpacks(
    there: tuple[Host, Path], person: Person
) -> None:
    """The run says so and ends; its work does not."""
    host, inventory = there
    host.run("apt-get -qq -y autoremove --purge docker.io")
    with up_to(host, person, inventory, packages, 1) as run:
        host.run("pkill -f '[s]shd.*root'")
        assert run.wait() == 1
    assert "the connection broke" in (person.home / "said").read_text()
    _converges(person, host, inventory)


@pytest.fixture(scope="module")
def built(boot: Boot, lab: Lab) -> str:
    """A snapshot of a host on which kernel modules are built; Debian's kernel takes minutes."""

    def made() -> Host:
        host = boot("trixie", "builds")
        host.run(
            "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install"
            " linux-image-amd64 linux-headers-amd64 dkms"
        )
        return host

    return state(lab, "builds", made)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_anywhere(
    request: pytest.FixtureRequest, boot: Boot, lab: Lab, somebody: Person, seed: int
) -> None:
    """Whatever it was doing, and however much of it was done."""
    name = list(POINTS)[seed % len(POINTS)]
    point = POINTS[name]
    count = random.Random(seed).randint(point.least, point.most)
    bare = "driver" not in point.wishes["rig_components"]
    snapshot = "" if bare else request.getfixturevalue("built")
    host = boot("trixie" if bare else "", f"killed{seed}", snapshot=snapshot)
    try:
        inventory = _inventory(somebody, lab, host, point.wishes)
        print(f"seed {seed}: {name}, killed after {count}", flush=True)
        with up_to(host, somebody, inventory, point.watch, count):
            pass
        _converges(somebody, host, inventory)
    finally:
        lab.remove(host.name)
