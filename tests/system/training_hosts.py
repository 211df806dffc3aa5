"""Three booted Debian 12 that train together, and how a training on them is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import wheels
from lab.hosts import Host
from lab.lab import Lab
from lab.states import state
from system.person import Person, settings

NAMES = ("train1", "train2", "train3")
TORCH = "2.13.0"  # of which a wheel without CUDA may be beside the indexes: 200 MB instead of 6 GB

# Three hosts share the cores of one machine: no threads that wait for one another, and few steps.
QUICK = ("-x", "OMP_NUM_THREADS=1", "-x", "TF_NUM_INTRAOP_THREADS=1")
SHORT = ("--", "--batch-size", "256", "--threshold", "0.9")


@pytest.fixture(scope="module")
def inventory(
    boot: Callable[..., Host], lab: Lab, person: Person, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three hosts with what `up` gave one: Horovod on TensorFlow, and PyTorch."""
    data = settings(lab) | {
        "rig_components": ["environments"],
        "rig_frameworks": ["horovod", f"pytorch=={TORCH}"],
    }

    def trains() -> Host:
        first = boot("bookworm", "trains")
        cpu = wheels.found(f"torch-{TORCH}+cpu-cp311-*.whl")
        with wheels.served(tmp_path_factory.mktemp("index"), "cpu/torch", cpu) as index:
            if cpu:
                data["rig_repositories"] |= {"pytorch": {"url": index}}
            one = person.inventory({first.name: first.ssh_data()}, **data)
            up = person.gpurig("up", one, "--json", "--prove", "never")
        assert up.code in (0, 4), up.problems
        return first

    snapshot = state(lab, "trains-bookworm", trains)
    hosts = [boot("", name, snapshot=snapshot) for name in NAMES]
    return person.inventory({host.name: host.ssh_data() for host in hosts}, **data)


@pytest.fixture(scope="module")
def hosts(inventory: Path, lab: Lab) -> list[Host]:
    """The three."""
    return [lab.host(name) for name in NAMES]


def left(hosts: list[Host]) -> str:
    """What a training left on hosts: processes of the user, guards, folders."""
    return "".join(
        host.run(
            "ps -eo user:20,args | grep -E '^gpurig|[h]orovod|[t]orchrun|[g]uard' || :;"
            " find /tmp -maxdepth 1 -name 'gpurig-*'"
        ).stdout
        for host in hosts
    )


def keys(hosts: list[Host]) -> list[str]:
    """What SSH is allowed and knows, of every user."""
    sums = "find /root /home /etc/ssh -type f -path '*ssh*' -exec sha256sum {} +"
    return [host.run(sums).stdout for host in hosts]


def learn_together(
    person: Person,
    inventory: Path,
    hosts: list[Host],
    engine: str,
    count: int,
    words: tuple[str, ...],
) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    before = keys(hosts)
    names = ",".join(NAMES[:count])
    answer = person.gpurig("train", "--engine", engine, "--limit", names, "--json", *words,
                           *QUICK, inventory, *SHORT)  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    told = answer.json["training"]
    result = told["result"]
    assert result["passed"]
    assert result["data"]["train"] == 60000
    assert sorted(rank["host"] for rank in result["ranks"]) == list(NAMES[:count])
    assert len({rank["weights_sha256"] for rank in result["ranks"]}) == 1
    if not words:
        assert told["one_process"]["world_size"] == 1
        assert told["speed_up"] > 0
    assert not left(hosts)
    assert keys(hosts) == before
