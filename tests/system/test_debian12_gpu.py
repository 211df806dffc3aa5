"""A bare Debian 12 with an (assumed) A100: its own driver, module and Docker, a CPU environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system import laws
from system.person import Answer, Person, settings

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """The host, bare."""
    return boot("bookworm", "gpu12", gpu="a100")


@pytest.fixture(scope="module")
def inventory(host: Host, person: Person, lab: Lab) -> Path:
    """Its inventory; the CUDA build of TensorFlow is what the Debian 13 host has."""
    data = host.ssh_data() | {"rig_assume_gpu": ["10de:20b0"], "rig_accelerator": "cpu"}
    return person.inventory({host.name: data}, **settings(lab))


@pytest.fixture(scope="module")
def first(inventory: Path, person: Person) -> Answer:
    """The first `up`."""
    return person.gpurig("up", inventory, "--json")


def test_one_command_converges(first: Answer, host: Host) -> None:
    """`up` brings everything about; the plan before it told the truth; everything is proven."""
    assert first.code in (0, 4), first.problems
    laws.plan_told_the_truth(first, host.name)
    laws.everything_is_proven(first, host.name)
    proofs = first.proofs(host.name)
    assert proofs["docker.runtime-lists-gpus"] == "passed"
    assert proofs["docker.cdi-lists-gpus"] == "not-applicable", "Docker 20.10 has no CDI"
    assert proofs["driver.module-for-next-boot"] == "passed"


def test_again_changes_nothing(first: Answer, host: Host, inventory: Path, person: Person) -> None:
    """The second run: 0 changes, and the plan before it says 0."""
    laws.again_changes_nothing(person, inventory, host)
