"""The contract of a training program: one JSON line, and one sentence for whoever breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpurig.proofs.training import result, speed, substitute

RIGHT: dict[str, Any] = {"schema": 1, "workload": "mine", "passed": True}
LINE = json.dumps(RIGHT)


def test_the_last_line_of_output_is_the_answer() -> None:
    """What was printed before it is nobody's business."""
    assert result("mine.py", 0, f"epoch 1\n{LINE}\n", "warnings") == RIGHT


def test_a_program_may_say_that_it_did_not_pass() -> None:
    """With exit code 1, or 0."""
    for code in (0, 1):
        assert result("mine.py", code, json.dumps(RIGHT | {"passed": False}), "")["passed"] is False


BROKEN = {
    "no JSON line": (0, "", "CUDA out of memory"),
    "nothing at all": (0, "", ""),
    "garbage last": (0, f"{LINE}\ndone in 3 s", "bye"),
    "a number": (0, "1", "bye"),
    "half a line": (0, LINE[:-4], "bye"),
    "NaN": (0, LINE[:-1] + ', "loss": NaN}', "bye"),
    "no passed": (0, '{"schema": 1, "workload": "mine"}', "bye"),
    "a passed in words": (0, LINE.replace("true", '"yes"'), "bye"),
    "an exception": (1, "", "Traceback …\nRuntimeError: no"),
    "exit code 3": (3, LINE, "RuntimeError: no"),
    "passed, and exit code 1": (1, LINE, "atexit failed"),
    "killed": (137, "epoch 1", "Epoch 1"),
    "hung": (124, "epoch 1", "Epoch 1"),
}


@pytest.mark.parametrize(("code", "printed", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_contract_is_one_sentence(code: int, printed: str, said: str) -> None:
    """It names the program, what is wrong and, where that helps, its last words."""
    with pytest.raises(AssertionError) as broken:
        result("mine.py", code, printed, said)
    (sentence,) = str(broken.value).splitlines()
    assert "mine.py" in sentence
    named = said.splitlines()[-1] if said else "nothing on standard error"
    assert named in sentence or "JSON" in sentence


@pytest.mark.parametrize(
    ("case", "word"),
    [("killed", "memory ran out"), ("hung", "did not end within"), ("NaN", "NaN"),
     ("exit code 3", "exit code 3"), ("no passed", "lacks passed")],
)  # fmt: skip
def test_the_sentence_says_what_it_was(case: str, word: str) -> None:
    """A killed program, a hung one and a wrong one are told apart."""
    with pytest.raises(AssertionError, match=word):
        result("mine.py", *BROKEN[case])


TRAINED = {
    "accuracy": 0.9778,
    "threshold": 0.97,
    "images_per_second": 10512.4,
    "seconds": {"train": 5.7, "to_threshold": 3.14},
}


def test_throughput_is_one_short_line() -> None:
    """Accuracy, time to the threshold, images a second, and each GPU's use and memory."""
    assert speed(TRAINED) == "0.9778, 0.97 after 3.1 s, 10,512 images/s"
    gpu = {"index": 0, "name": "NVIDIA H100", "utilization_percent": 63.2,
           "memory_used_bytes": 1_900_000_000}  # fmt: skip
    assert speed(TRAINED | {"gpus": [gpu]}).endswith(", NVIDIA H100 63 % and 1.9 GB")


def test_a_threshold_that_was_not_reached_has_no_time() -> None:
    """Nothing is made up."""
    assert "after" not in speed(TRAINED | {"seconds": {"to_threshold": None}})


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("tensorflow_datasets", ""),
        ("original archives", ""),
        ("fallback: UCI digits", "UCI digits instead of MNIST"),
    ],
)
def test_what_stood_in_for_mnist_is_named(source: str, told: str) -> None:
    """The title says that digits were learnt; which, where it was not MNIST, is a remark."""
    assert substitute({"data": {"source": source}}) == told
