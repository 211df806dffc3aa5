"""TensorFlow on three booted hosts: training together by Horovod and by its own strategy."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.hosts import Host
from lab.lab import Lab
from lab.states import built_wheels
from system import laws
from system.person import Person, settings
from system.training_hosts import Started, Three, a_host_dies, learn_together, left
from system.training_hosts import three as three_of

pytestmark = [pytest.mark.lab, pytest.mark.long]  # test_train.py proves its like on PyTorch


@pytest.fixture(scope="module", params=["trixie", "bookworm"])
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
    "horovod on two": ("horovod", 2, ALONE),
    "multiworker on two": ("multiworker", 2, (*ALONE, "--env", "horovod")),
}


@pytest.mark.parametrize(("engine", "count", "words"), TRAININGS.values(), ids=TRAININGS)
def test_they_train_mnist_together(
    three: Three, engine: str, count: int, words: tuple[str, ...]
) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    learn_together(three, engine, count, words)


OWN = {
    "keras_workers.py": ("multiworker", "worker 1 of 2: step 0", "model.weights.h5"),
    "horovod_keras.py": ("horovod", "rank 1 of 2: step 7", "model.keras"),
}


@pytest.mark.parametrize(("program", "row"), OWN.items(), ids=OWN)
def test_a_program_of_a_tutorial_runs_as_it_is(
    three: Three, program: str, row: tuple[str, str, str]
) -> None:
    """The same on two hosts and, to compare, by itself; its model comes home."""
    engine, line, model = row
    answer = three.person.gpurig(
        "train", "--workload", Path(__file__).with_name("programs") / program, "--engine", engine,
        "--env", "horovod", "--baseline", "--out", engine, "--nnodes", "2", three.inventory,
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert line in answer.out
    assert "no comparison" not in answer.out
    assert (three.person.home / engine / model).stat().st_size > 0
    assert not left(three.hosts)


def test_ctrl_c_leaves_nothing_anywhere(three: Three) -> None:
    """Exit 130, and no process and no folder on any host."""
    training = Started(three, "horovod")
    assert left(three.hosts)
    training.process.send_signal(signal.SIGINT)
    answer = training.ended()
    assert answer.code == 130, answer.out + answer.err
    assert "interrupted; the training has ended on every host" in answer.err
    assert not left(three.hosts)


def test_a_host_that_dies_ends_the_training(three: Three) -> None:
    """Killed in the middle: it is named, exit 1, and nothing is left on the others."""
    a_host_dies(three, "horovod")
