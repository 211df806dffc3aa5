"""The engines on the numbers of hosts that tests/system/test_train.py leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.hosts import Host
from system.person import Person
from system.training_hosts import hosts, inventory, learn_together

__all__ = ["hosts", "inventory"]  # fixtures
pytestmark = pytest.mark.lab

TRAININGS = {
    "horovod on two": ("horovod", 2, ("--no-baseline",)),
    "multiworker on two": ("multiworker", 2, ("--no-baseline", "--env", "horovod")),
    "torchrun on three": ("torchrun", 3, ("--no-baseline",)),
}


@pytest.mark.parametrize(("engine", "count", "words"), TRAININGS.values(), ids=TRAININGS)
def test_they_train_mnist_together(
    person: Person,
    inventory: Path,
    hosts: list[Host],
    engine: str,
    count: int,
    words: tuple[str, ...],
) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    learn_together(person, inventory, hosts, engine, count, words)
