"""The live view: readable at any width, whatever hosts and programs say, for one host and many."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpurig.contract.progress import Progress
from gpurig.report.live import Row, fitted, progress_told, told_in, view

STEP = "install TensorFlow 2.21.0 for CPU in /opt/gpurig/venvs/tensorflow"
MOVES = "38 of 92 packages, 1.1 of 2.5 GB"


def _row(stage: str = "changing", spent: float = 72) -> Row:
    row = Row(began=time.monotonic() - 161)
    row.enter(stage)
    if stage == "changing":
        row.number, row.of = 3, 12
        row.begin(STEP, "environments")
        row.progress(Progress("packages", 38, 92, 1_100_000_000, 2_500_000_000))
    row.since = time.monotonic() - spent
    return row


def _shown(rows: dict[str, Row], width: int, height: int = 23) -> list[str]:
    return [line.plain for line in view(rows, width, height)]


def test_one_host_at_80_columns() -> None:
    """Host, stage, step and both times; what moves is whole, and the step's name gives way."""
    assert _shown({"@local": _row()}, 80) == [
        "@local  changing 3 of 12: environments  2 min 41 s",
        "  install TensorFlow 2.21.0 for…: 38 of 92 packages, 1.1 of 2.5 GB  1 min 12 s",
    ]


def test_one_host_at_160_columns() -> None:
    """Nothing is left out where there is room."""
    assert _shown({"@local": _row()}, 160)[1] == f"  {STEP}: {MOVES}  1 min 12 s"


def test_five_hosts_have_two_lines_each_and_a_total() -> None:
    """Those that change something come first; who has finished is counted."""
    rows = {"gpu01": _row("reading facts"), "gpu02": _row("finished"), "gpu03": _row(),
            "gpu04": _row("proving"), "gpu05": _row()}  # fmt: skip
    rows["gpu04"].begin("A network learns handwritten digits")
    rows["gpu04"].line("epoch 1 of 1, step 235 of 938: test accuracy 0.9412")
    lines = _shown(rows, 80)
    assert [line.split()[0] for line in lines if line.startswith("gpu")] == [
        "gpu03", "gpu05", "gpu04", "gpu01",
    ]  # fmt: skip
    assert "epoch 1 of 1, step 235 of 938: test accuracy 0.9412" in lines[5]
    assert lines[-1] == "5 hosts: 2 changing, 1 proving, 1 reading facts, 1 finished  2 min 41 s"


def test_fifty_hosts_fit_a_small_terminal() -> None:
    """One line each for the busy ones, the rest counted; times stand below each other."""
    stages = ["changing"] * 12 + ["reading facts"] * 30 + ["waiting"] * 8
    rows = {f"gpu{n:02}": _row(stage, spent=5 + 31 * n) for n, stage in enumerate(stages)}
    lines = _shown(rows, 80)
    assert len(lines) == 23
    assert lines[-1] == "50 hosts: 12 changing, 30 reading facts, 8 waiting  2 min 41 s"
    assert all(MOVES.partition(",")[0] in line for line in lines[:12])
    assert {line.index(" s  ") for line in lines[:12]} == {34}


def test_nobody_at_work_is_no_line() -> None:
    """Before the first host begins and after the last one has ended nothing is drawn."""
    assert _shown({"gpu01": _row("waiting"), "gpu02": _row("finished")}, 80) == []


@pytest.mark.parametrize("width", [20, 40, 61, 80, 160])
@pytest.mark.parametrize("number", [1, 5, 50])
def test_no_line_is_too_wide_and_no_time_is_cut(width: int, number: int) -> None:
    """At any width, for hosts with long names."""
    rows = {f"dgx-h100-rack-17-unit-{n:02}.machine-learning.example.org": _row(spent=4000 + n / 9)
            for n in range(number)}  # fmt: skip
    lines = _shown(rows, width)
    assert all(cell_len(line) <= max(width, 45) for line in lines)
    assert all("1 h 6 min" in line or "2 min 41 s" in line for line in lines)


WORDS = st.lists(st.text("ab-界", min_size=1, max_size=30), max_size=8).map(" ".join)


@given(WORDS, WORDS, st.integers(1, 90))
def test_words_stay_whole(step: str, moving: str, width: int) -> None:
    """What is shown are whole words, but where a single one is wider than the line."""
    told = told_in(step, moving, width)
    assert cell_len(told) <= width
    for source in (step, moving):
        text = fitted(source, width)
        assert cell_len(text) <= width
        kept = text.removesuffix("…")
        assert source.startswith(kept)
        rest = source[len(kept) :]
        assert not rest or rest.startswith(" ") or kept in source.split(" ")[0]


def test_a_long_line_leaves_the_name_of_the_step() -> None:
    """A program may say anything; what it is stays readable."""
    told = told_in("tensorflow: A network learns handwritten digits", "I0000 00:00 stub " * 9, 60)
    assert told == "tensorflow: A…: I0000 00:00 stub I0000 00:00 stub I0000…"
    assert told_in("tensorflow: A network learns", "epoch 1 of 1", 30) == "epoch 1 of 1"


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (Progress("packages", 38, 92, 412_000_000, 611_000_000),
         "38 of 92 packages, 412 of 611 MB"),
        (Progress("packages", 0, 92, 83_100_000, 2_500_000_000),
         "0 of 92 packages, 83.1 MB of 2.5 GB"),
        (Progress("packages", 92, 92, 2_600_000_000, 2_500_000_000),
         "92 of 92 packages, 2.5 of 2.5 GB"),
        (Progress("files compiled to bytecode", 3120, 8955),
         "3,120 of 8,955 files compiled to bytecode"),
        (Progress("packages", 1, 2, 9_000_000), "1 of 2 packages, 9.0 MB"),
        (Progress("Unpacking docker.io (amd64)", percent=40.0),
         "Unpacking docker.io (amd64), 40 %"),
        (Progress("waiting for apt-get (process 4711)"), "waiting for apt-get (process 4711)"),
    ],
)  # fmt: skip
def test_how_far_a_step_is(progress: Progress, told: str) -> None:
    """In the units of people."""
    assert progress_told(progress) == told


def test_a_step_that_tells_how_far_it_is_is_not_drowned_by_its_lines() -> None:
    """Lines count until then, and again in the next step."""
    row = Row()
    row.begin(STEP)
    row.line("50 %\r 60 %\n")
    assert row.moving == "60 %"
    row.progress(Progress("packages", 1, 2))
    row.line("+ zipp==4.1.2")
    assert row.moving == "1 of 2 packages"
    row.begin("another")
    row.line("+ zipp==4.1.2")
    assert row.moving == "+ zipp==4.1.2"
