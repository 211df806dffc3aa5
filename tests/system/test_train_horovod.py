"""TensorFlow on three booted hosts: training together by Horovod and by its own strategy."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.states import built_wheels
from system import laws
from system.person import Person, settings
from system.training_hosts import Started, Three, a_host_dies, learn_together, left
from system.training_hosts import three as three_of

pytestmark = pytest.mark.lab

BOOKWORM = pytest.param("bookworm", marks=pytest.mark.long)  # Horovod is compiled once more there


@pytest.fixture(scope="module", params=["trixie", BOOKWORM])
def three(
    request: pytest.FixtureRequest, boot: Callable[..., Host], lab: Lab, person: Person
) -> Three:
    """Three hosts with Horovod on TensorFlow; its wheel is there once its own tests made it."""
    cache = person.home / ".cache/gpurig/wheels"
    if not cache.exists():
        cache.parent.mkdir(parents=True)
        cache.symlink_to(built_wheels(lab))
    data = settings(lab) | {"rig_components": ["environments"], "rig_frameworks": ["horovod"]}
    return three_of(boot, lab, person, request.param, "horovod", **data)


def test_the_environment_is_proven(three: Three) -> None:
    """On the host that the others are copies of: every proof of Horovod, and MNIST is learnt."""
    laws.everything_is_proven(three.up, "horovod")
    laws.framework_is_proven(three.up, "horovod", "horovod")


ALONE = ("--no-baseline",)
TRAININGS = {
    "horovod on three": ("horovod", 3, ALONE),
    "multiworker on three": ("multiworker", 3, (*ALONE, "--env", "horovod")),
}
LONG = {
    "horovod on two": ("horovod", 2, ALONE),
    "multiworker on two": ("multiworker", 2, (*ALONE, "--env", "horovod")),
}


@pytest.mark.parametrize(
    ("engine", "count", "words"),
    [
        *(pytest.param(*row, id=name) for name, row in TRAININGS.items()),
        *(pytest.param(*row, id=name, marks=pytest.mark.long) for name, row in LONG.items()),
    ],
)
def test_they_train_mnist_together(
    three: Three, engine: str, count: int, words: tuple[str, ...]
) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    learn_together(three, engine, count, words)


def test_ctrl_c_leaves_nothing_anywhere(three: Three) -> None:
    """Exit 130, and no process and no folder on any host."""
    training = Started(three, "horovod")
    assert left(three.hosts)
    training.process.send_signal(signal.SIGINT)
    answer = training.ended()
    assert answer.code == 130, answer.out + answer.err
    assert "interrupted" in answer.err
    assert not left(three.hosts)


def test_a_host_that_dies_ends_the_training(three: Three) -> None:
    """Killed in the middle: it is named, exit 1, and nothing is left on the others."""
    a_host_dies(three, "horovod")
