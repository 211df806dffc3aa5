"""PyTorch on three booted Debian 12: training together, and every way to end it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system import laws
from system.person import SECONDS, Person, settings
from system.training_hosts import (
    TORCH,
    Started,
    Three,
    a_host_dies,
    learn_together,
    left,
    torch_for_cpu,
)
from system.training_hosts import three as three_of

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def three(
    request: pytest.FixtureRequest,
    boot: Callable[..., Host],
    lab: Lab,
    person: Person,
    tmp_path_factory: pytest.TempPathFactory,
) -> Three:
    """Three hosts with PyTorch; that it is whole is a long test."""
    prove = "auto" if request.config.getoption("--long") else "never"
    data = settings(lab) | {
        "rig_components": ["environments"],
        "rig_frameworks": [f"pytorch=={TORCH}"],
    }
    with torch_for_cpu(tmp_path_factory.mktemp("index")) as repositories:
        data["rig_repositories"] |= repositories
        return three_of(boot, lab, person, "bookworm", "torch", prove, **data)


@pytest.mark.long
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
if os.environ["WORLD_SIZE"] == "1":
    raise KeyError("alone")
if os.environ["RANK"] == "1":
    time.sleep(5)
    print("before", file=sys.stderr)
    raise ValueError("no bread")
if os.environ["RANK"] == "0":
    open("checkpoint.pt", "w").write("epoch 1")
time.sleep(600)
"""


def test_a_failure_on_one_host_ends_all(three: Three) -> None:
    """Its host is named with its own error, the others end, and what was saved is not lost."""
    (three.person.home / "mine.py").write_text(FAILS)
    answer = three.person.gpurig("train", "--workload", "mine.py", "--engine", "torchrun",
                                 "--baseline", "--out", "failed", three.inventory)  # fmt: skip
    assert answer.code == 1, answer.out + answer.err
    assert "no comparison: one process alone failed (KeyError: 'alone')" in answer.out
    assert (three.person.home / "failed/checkpoint.pt").read_text() == "epoch 1"
    (error,) = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    assert error.endswith("the training failed on this host (exit 1): ValueError: no bread"), error
    (named,) = [name for name in three.names if name in error]
    assert f"{named}: its last lines:" in answer.out
    assert not left(three.hosts)


PROGRAMS = Path(__file__).with_name("programs")


def _trained(three: Three, program: str, *words: str) -> str:
    """What the documented call prints for a program that knows nothing of gpurig, on two hosts."""
    hosts = ",".join(three.names[:2])
    answer = three.person.gpurig("train", "--workload", PROGRAMS / program, *words, "--limit",
                                 hosts, three.inventory)  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert f"{hosts.replace(',', ', ')}: trained in" in answer.out
    assert not left(three.hosts)
    return answer.out


def test_the_tutorial_of_ddp_runs_as_it_is(three: Three) -> None:
    """Ranks from the environment, no JSON; its checkpoint comes home and its report is listed."""
    said = _trained(three, "ddp.py", "--engine", "torchrun")
    for rank, host in enumerate(three.names[:2]):
        assert f"{host} | [rank {rank} of 2] epoch 1" in said
    assert list(three.person.home.glob("gpurig-train/*/checkpoint.pt"))
    shown = three.person.gpurig("runs", "show").out
    files = dict(line.split(": ") for line in shown.splitlines()[1:])
    assert "[rank 1 of 2] epoch 1" in Path(files["lines"]).read_text()
    assert f"torch {TORCH}" in Path(files["report"]).read_text()


def test_a_folder_of_modules_is_trained(three: Three) -> None:
    """In the style of a trainer that logs dicts and JSON, two processes on the first host."""
    first, second = three.names[:2]
    answer = three.person.gpurig(
        "train", "--workload", PROGRAMS / "trainer/train.py", "--engine", "torchrun", "--out",
        "trainer", "-np", "3", "-H", f"{first}:2,{second}", three.inventory,
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert f'{first} | {{"tests": "unit", "passed": 17}}' in answer.out
    assert answer.out.count("'step': 5}") == 3
    saved = three.person.home / "trainer/outputs/checkpoint-5"
    assert {file.name for file in saved.iterdir()} == {"model.bin", "trainer_state.json"}
    assert f"removed with the hosts' private folders: {second}: rank2.log" in answer.out
    assert not left(three.hosts)


@pytest.mark.long
def test_a_plain_script_runs_on_each_host(three: Three) -> None:
    """It knows of no launcher; what it writes where rank 0 runs comes home."""
    said = _trained(three, "plain.py", "--engine", "torchrun", "--out", "plain")
    assert said.count("pi is about 3.14") == 2
    assert (three.person.home / "plain/pi.txt").read_text().startswith("3.14")


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
