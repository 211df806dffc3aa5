"""Drivers from NVIDIA's repository, end to end: assumed Pascal, Blackwell and Hopper hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.nvidia import Nvidia, nvidia
from system import laws
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

PASCAL, BLACKWELL, HOPPER = "10de:1b06", "10de:2b85", "10de:2330"


def _wishes(host: Host, lab: Lab, repository: Nvidia, gpu: str, **more: Any) -> dict[str, Any]:
    data = host.ssh_data() | settings(lab)
    places = {"nvidia": {"url": repository.url, "fingerprint": repository.fingerprint}}
    return data | {
        "rig_components": ["driver"],
        "rig_assume_gpu": [gpu],
        "rig_repositories": places,
        **{f"rig_{name}": value for name, value in more.items()},
    }


def _up(person: Person, host: Host, data: dict[str, Any]) -> Answer:
    """`up`, and a second one that changes nothing."""
    inventory = person.inventory({host.name: data})
    up = person.gpurig("up", inventory, "--json", "--prove", "never")
    assert up.code in (0, 4), up.problems
    laws.plan_told_the_truth(up, host.name)
    before = state(host)
    again = person.gpurig("up", inventory, "--json", "--prove", "never")
    assert not again.changed(host.name), again.problems
    assert state(host) == before
    return up


def _driver(up: Answer, host: Host) -> str:
    driver = up.host(host.name)["stack"]["driver"]
    return f"{driver['branch']} {driver['flavour']} {driver['source']}"


def _module(host: Host) -> str:
    """The module that the next kernel finds: its version and licence."""
    kernel = host.ssh("ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1").stdout.strip()
    modinfo = f"modinfo -k {kernel} -F"
    return host.ssh(f"{modinfo} version nvidia; {modinfo} license nvidia").stdout.strip()


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """A bare Debian 13 that takes several GPUs in turn, as a machine in a lab does."""
    return boot("trixie", "src13")


def test_pascal_then_blackwell_then_another_branch(host: Host, person: Person, lab: Lab) -> None:
    """
    Pascal gets 580 and its pinning, Blackwell the open module, and 595 when it is wished for.

    From bare, flavour to flavour and branch to branch: each converges, each again changes nothing.
    """
    repository = nvidia(lab)
    up = _up(person, host, _wishes(host, lab, repository, PASCAL, driver_source="nvidia"))
    assert _driver(up, host) == "580 proprietary nvidia"
    assert _module(host) == "580.95.05\nNVIDIA"
    assert host.ssh("dpkg-query -W nvidia-driver-pinning-580").rc == 0
    up = _up(person, host, _wishes(host, lab, repository, BLACKWELL))
    assert _driver(up, host) == "580 open nvidia"
    assert _module(host) == "580.95.05\nDual MIT/GPL"
    up = _up(person, host, _wishes(host, lab, repository, BLACKWELL, driver_branch="595"))
    assert _driver(up, host) == "595 open nvidia"
    assert _module(host) == "595.71.05\nDual MIT/GPL"


@pytest.mark.long
def test_a_module_that_does_not_build_is_no_dead_end(
    boot: Callable[..., Host], person: Person, lab: Lab
) -> None:
    """No table knows that this open module does not compile: the run takes the other flavour."""
    fresh = boot("trixie", "broken13")
    repository = nvidia(lab, "nvidia-broken", ("580.95.05",), broken="open")
    data = _wishes(fresh, lab, repository, HOPPER, driver_source="nvidia")
    inventory = person.inventory({fresh.name: data})
    planned = person.gpurig("plan", inventory, "--json").host(fresh.name)["stack"]["driver"]
    assert planned["flavour"] == "open"
    up = person.gpurig("up", inventory, "--json", "--prove", "never")
    assert up.code in (0, 4), up.problems
    assert _driver(up, fresh) == "580 proprietary nvidia"
    assert _module(fresh) == "580.95.05\nNVIDIA"
    (note,) = up.host(fresh.name)["notes"]
    assert "gpurig took another driver" in note
    assert "nvidia 580.95.05 does not build" in note
    assert "error:" in note, "the build log's own first error is shown"
