"""PyTorch on three booted Debian 12: training together, and every way to end it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lab import wheels
from lab.hosts import Host
from lab.lab import Lab
from system import laws
from system.person import SECONDS, Person, settings
from system.training_hosts import Started, Three, a_host_dies, learn_together, left
from system.training_hosts import three as three_of

pytestmark = pytest.mark.lab

TORCH = "2.13.0"  # of which a wheel without CUDA may be beside the indexes: 200 MB instead of 6 GB


@pytest.fixture(scope="module")
def three(
    boot: Callable[..., Host], lab: Lab, person: Person, tmp_path_factory: pytest.TempPathFactory
) -> Three:
    """Three hosts with PyTorch."""
    data = settings(lab) | {
        "rig_components": ["environments"],
        "rig_frameworks": [f"pytorch=={TORCH}"],
    }
    cpu = wheels.found(f"torch-{TORCH}+cpu-cp311-*.whl")
    with wheels.served(tmp_path_factory.mktemp("index"), "cpu/torch", cpu) as index:
        if cpu:
            data["rig_repositories"] |= {"pytorch": {"url": index}}
        return three_of(boot, lab, person, "bookworm", "torch", **data)


def test_the_environment_is_proven(three: Three) -> None:
    """On the host that the others are copies of: every proof of PyTorch, and MNIST is learnt."""
    laws.everything_is_proven(three.up, "torch")
    laws.framework_is_proven(three.up, "torch", "pytorch")


@pytest.mark.parametrize(
    ("count", "words"),
    [(2, ()), pytest.param(3, ("--no-baseline",), marks=pytest.mark.long)],
    ids=["two", "three"],
)
def test_they_train_mnist_together(three: Three, count: int, words: tuple[str, ...]) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    learn_together(three, "torchrun", count, words)


FAILS = """
import os, sys, time
if os.environ["RANK"] == "1":
    print("before", file=sys.stderr)
    raise ValueError("no bread")
time.sleep(600)
"""


def test_a_failure_on_one_host_ends_all(three: Three) -> None:
    """A program of one's own: its host is named with its own error, and the others end."""
    (three.person.home / "mine.py").write_text(FAILS)
    answer = three.person.gpurig("train", "--workload", "mine.py", "--engine", "torchrun",
                                 "--no-baseline", three.inventory)  # fmt: skip
    assert answer.code == 1, answer.out + answer.err
    (error,) = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    assert error.endswith("the training failed on this host (exit 1): ValueError: no bread"), error
    (named,) = [name for name in three.names if name in error]
    assert f"{named}: its last lines:" in answer.out
    assert not left(three.hosts)


def test_a_host_that_cannot_train_is_named_before_anything_starts(three: Three) -> None:
    """No environment, or no engine in it: one sentence, exit 2."""
    wrong = {
        ("torchrun", "jax"): "torch1: the host has no environment jax",
        ("multiworker", "pytorch"): "torch1: the environment pytorch has no tensorflow",
    }
    for (engine, environment), said in wrong.items():
        answer = three.person.gpurig(
            "train", "--engine", engine, "--env", environment, three.inventory
        )
        assert answer.code == 2, answer.out + answer.err
        errors = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
        assert said in errors[0]


def test_a_control_machine_that_is_killed_leaves_nothing_anywhere(three: Three) -> None:
    """Nobody is there to end it: the hosts do so themselves."""
    training = Started(three, "torchrun")
    training.process.kill()
    training.ended()
    deadline = time.monotonic() + SECONDS
    while found := left(three.hosts):
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_a_host_that_dies_ends_the_training(three: Three) -> None:
    """Killed in the middle: it is named, exit 1, and nothing is left on the others."""
    a_host_dies(three, "torchrun")
