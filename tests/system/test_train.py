"""Training together on two and three booted Debian 12: each engine, and every way to end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from lab import machine
from lab.hosts import Host
from system.person import SECONDS, Answer, Person
from system.training_hosts import NAMES, QUICK, hosts, inventory, learn_together, left

__all__ = ["hosts", "inventory"]  # fixtures

pytestmark = pytest.mark.lab

TRAININGS = {
    "torchrun on two": ("torchrun", 2, ()),
    "horovod on three": ("horovod", 3, ("--no-baseline",)),
    "multiworker on three": ("multiworker", 3, ("--no-baseline", "--env", "horovod")),
}
LONG = {
    "horovod on two": ("horovod", 2, ("--no-baseline",)),
    "multiworker on two": ("multiworker", 2, ("--no-baseline", "--env", "horovod")),
    "torchrun on three": ("torchrun", 3, ("--no-baseline",)),
}


@pytest.mark.parametrize(
    ("engine", "count", "words"),
    [
        *(pytest.param(*row, id=name) for name, row in TRAININGS.items()),
        *(pytest.param(*row, id=name, marks=pytest.mark.long) for name, row in LONG.items()),
    ],
)
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


FAILS = """
import os, sys, time
if os.environ["RANK"] == "1":
    print("before", file=sys.stderr)
    raise ValueError("no bread")
time.sleep(600)
"""


def test_a_failure_on_one_host_ends_all(person: Person, inventory: Path, hosts: list[Host]) -> None:
    """A program of one's own: its host is named with its own error, and the others end."""
    (person.home / "mine.py").write_text(FAILS)
    answer = person.gpurig("train", "--workload", "mine.py", "--engine", "torchrun",
                           "--no-baseline", inventory)  # fmt: skip
    assert answer.code == 1, answer.out + answer.err
    (error,) = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    assert error.endswith("the training failed on this host (exit 1): ValueError: no bread"), error
    (named,) = [name for name in NAMES if name in error]
    assert f"{named}: its last lines:" in answer.out
    assert not left(hosts)


def test_a_host_that_cannot_train_is_named_before_anything_starts(
    person: Person, inventory: Path
) -> None:
    """No environment, or no engine in it: one sentence, exit 2."""
    wrong = {
        ("torchrun", "jax"): "train1: the host has no environment jax",
        ("multiworker", "pytorch"): "train1: the environment pytorch has no tensorflow",
    }
    for (engine, environment), said in wrong.items():
        answer = person.gpurig("train", "--engine", engine, "--env", environment, inventory)
        assert answer.code == 2, answer.out + answer.err
        errors = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
        assert said in errors[0]


class Started:
    """A training that goes on until something happens to it."""

    def __init__(self, person: Person, inventory: Path, engine: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpurig.cli.main", "train", "--engine", engine, "--no-baseline",
             *QUICK, inventory, "--", "--epochs", "500"],
            cwd=person.home, env=environment | {"HOME": str(person.home)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        out: IO[str] | None = self.process.stdout
        assert out
        seen = []
        for line in out:
            seen.append(line)
            if "accuracy" in line:  # it has learnt from some images
                return
        raise AssertionError("".join(seen))

    def ended(self) -> Answer:
        """How it ended."""
        out, err = self.process.communicate(timeout=SECONDS)
        return Answer(self.process.returncode, out, err)


def test_ctrl_c_leaves_nothing_anywhere(person: Person, inventory: Path, hosts: list[Host]) -> None:
    """Exit 130, and no process and no folder on any host."""
    training = Started(person, inventory, "horovod")
    assert left(hosts)
    training.process.send_signal(signal.SIGINT)
    answer = training.ended()
    assert answer.code == 130, answer.out + answer.err
    assert "interrupted" in answer.err
    assert not left(hosts)


def test_a_control_machine_that_is_killed_leaves_nothing_anywhere(
    person: Person, inventory: Path, hosts: list[Host]
) -> None:
    """Nobody is there to end it: the hosts do so themselves."""
    training = Started(person, inventory, "torchrun")
    training.process.kill()
    training.ended()
    deadline = time.monotonic() + SECONDS
    while found := left(hosts):
        assert time.monotonic() < deadline, found
        time.sleep(1)


@pytest.mark.parametrize("engine", ["horovod", "torchrun"])
def test_a_host_that_dies_ends_the_training(
    person: Person, inventory: Path, hosts: list[Host], engine: str
) -> None:
    """Killed in the middle: it is named, exit 1, and nothing is left on the others."""
    training = Started(person, inventory, engine)
    machine.kill(NAMES[1])
    began = time.monotonic()
    answer = training.ended()
    print(f"{engine}: ended {time.monotonic() - began:.1f} s after the host")
    assert answer.code == 1, answer.out + answer.err
    (error,) = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    assert error.startswith("  error: train2: the connection to the host broke"), error
    assert not left([hosts[0], hosts[2]])
    hosts[1].start()
