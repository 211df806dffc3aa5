"""The laws of facts: captured outputs are read rightly, no output raises, every command ends."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from pyinfra.api import StringCommand

from fact_classes import ASKED_PLAINLY, CLASSES, FOUND
from gpurig.contract.values import Unknown, as_json
from gpurig.facts.registry import FACTS

DATA = Path(__file__).parent.parent / "data" / "facts"
CAPTURED = sorted(DATA.glob("*/*.txt"))

SHELLS = {
    "sh": ["sh", "-c"],
    "dash, bare environment": ["env", "-i", "PATH=/usr/bin:/bin", "dash", "-c"],
}


def _lines(output: str) -> list[str]:
    return output.removesuffix("\n").split("\n") if output else []


def _id(captured: Path) -> str:
    return f"{captured.parent.name}-{captured.stem}"


def _is_a_fact(value: object) -> bool:
    """Whether it is plain JSON data, ABSENT or an Unknown with a sentence."""
    json.dumps(as_json(value))
    return value is not None and (not isinstance(value, Unknown) or bool(value.reason))


def test_no_two_facts_have_the_same_name() -> None:
    """A folder of captured outputs belongs to one fact, and so does a name that people read."""
    assert len(CLASSES) == len(FOUND)


@pytest.mark.parametrize("captured", CAPTURED, ids=_id)
def test_a_captured_output_is_read_as_what_the_machine_had(captured: Path) -> None:
    """A captured output gives the value that stands beside it."""
    value = CLASSES[captured.parent.name]().process(_lines(captured.read_text()))

    assert as_json(value) == json.loads(captured.with_suffix(".json").read_text())


@pytest.mark.parametrize("fact", [fact.__name__ for fact in FACTS.values()])
def test_each_fact_that_is_shown_has_a_captured_output(fact: str) -> None:
    """No fact that users see is read by a parser that never met a real output."""
    assert list((DATA / fact).glob("*.txt"))


@pytest.mark.parametrize("captured", CAPTURED, ids=_id)
def test_an_output_that_was_cut_off_is_unknown(captured: Path) -> None:
    """Whatever arrived before the connection broke, it is not taken for a value."""
    output = captured.read_text()
    frame = output.rindex(":") + 1
    step = max(1, frame // 100)

    for cut in [*range(0, frame, step), frame]:
        value = CLASSES[captured.parent.name]().process(_lines(output[:cut]))
        assert isinstance(value, Unknown), output[:cut]


@pytest.mark.parametrize("captured", CAPTURED, ids=_id)
def test_a_damaged_output_never_raises(captured: Path) -> None:
    """Lines lost, doubled, swapped, shortened or overwritten give a value or Unknown."""
    chance = random.Random(_id(captured))
    *lines, _, _ = _lines(captured.read_text())

    for _ in range(100):
        damaged = list(lines) or [""]
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(damaged))
            line = damaged[at]
            damaged[at : at + 1] = chance.choice(
                [[], [line, line], [line[: len(line) // 2]], [line[::-1]], ["\x00", line], [""]]
            )
            damaged = damaged or [""]
        code = chance.choice([0, 0, 1, 127])
        value = CLASSES[captured.parent.name]().process([*damaged, "", f"gpurig-exit:{code}"])
        assert _is_a_fact(value), damaged


GARBAGE = {
    "nothing": [],
    "an empty line": [""],
    "blanks": ["   ", "\t"],
    "words": ["bash: command not found", "Killed"],
    "JSON of another kind": ["[1, 2]", "{}", "null"],
    "a single JSON null": ["null"],
    "deep JSON": ["[" * 10_000],
    "numbers": ["1 2 3", "99999999999999999999999999"],
    "binary": ["\x00\x01\ufffd", "\udcff"],
    "digits of another script": ["٣ ٣ ٣", "²"],
    "separators": ["=", ":", " = ", "::", "==", "/", "|"],
    "an open quote": ['NAME="', "ID='"],
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("fact", CLASSES)
def test_garbage_never_raises(fact: str, garbage: list[str]) -> None:
    """No output whatever makes a parser raise, with any exit status, framed or not."""
    parser = CLASSES[fact]()

    assert isinstance(parser.process(garbage), Unknown)
    assert isinstance(parser.process([*garbage, "gpurig-exit:x"]), Unknown)
    for code in (0, 1, 2, 127):
        assert _is_a_fact(parser.process([*garbage, "", f"gpurig-exit:{code}"]))


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("fact", ASKED_PLAINLY)
def test_the_command_answers_on_this_machine(fact: str, shell: list[str]) -> None:
    """Each command ends with exit status 0 and its frame, whatever this machine has or lacks."""
    command = StringCommand(CLASSES[fact]().command()).get_raw_value()

    ran = subprocess.run(
        [*shell, command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0
    assert _lines(ran.stdout)[-1].startswith("gpurig-exit:")
    assert _is_a_fact(CLASSES[fact]().process(_lines(ran.stdout)))
