"""The pictures of the screen: of the size that they are said to have, and with today's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
NAMES = ("plan", "question", "live", "live-bytecode", "live-training", "end", "failure")
SIZES = {"80x24": (80, 24), "160x50": (160, 50)}
PICTURES = [f"{name}-{size}" for name in NAMES for size in SIZES]


def _lines(picture: str) -> list[str]:
    return (IMAGES / f"{picture}.txt").read_text().splitlines()


def test_the_page_shows_each_picture() -> None:
    """And no other lies there."""
    page = (IMAGES.parent / "reference" / "screen.md").read_text()
    assert sorted(re.findall(r"images/([\w-]+)\.txt", page)) == sorted(PICTURES)
    assert sorted(file.stem for file in IMAGES.glob("*.txt")) == sorted(PICTURES)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_fits_its_terminal(picture: str) -> None:
    """No line is wider, none is too many, and no time or run is named."""
    columns, height = SIZES[picture.rpartition("-")[2]]
    lines = _lines(picture)
    assert 0 < len(lines) <= height
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines if re.search(r"\d s\b|\d{8}-\d{6}", line)]


@pytest.mark.parametrize("size", SIZES)
def test_title_count_and_question_are_seen_together(size: str) -> None:
    """With what is new, how much room it takes, what follows and what is left out."""
    lines = _lines(f"question-{size}")
    assert "What will change on ws01" in lines
    assert re.fullmatch(r"  \d+ to change, \d+ follow, \d+ OK", lines[-2])
    assert lines[-1] == "Change ws01? [yes/no] (no):"
    for word in ("New: ", "Needs about ", "Then gpurig proves it", "Left out: "):
        assert any(line.startswith(f"  {word}") for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_what_moves_is_seen(size: str) -> None:
    """Packages and their size, files compiled, and the accuracy of a training."""
    for name, moves in {
        "live": r"\d+ of \d+ packages(, [\d.]+ (MB )?of [\d.]+ GB)?  #+ s$",
        "live-bytecode": r"[\d,]+ of [\d,]+ files compiled to bytecode  .*# s$",
        "live-training": r"epoch 1 of \d+, step \d+ of \d+: .*accuracy 0\.\d{4}.*  .*# s$",
    }.items():
        *_, stage, step = _lines(f"{name}-{size}")
        assert re.fullmatch(r"ws01  (changing|proving) \d+ of \d+.*  .*# s", stage)
        assert re.search(moves, step)


@pytest.mark.parametrize("size", SIZES)
def test_a_failure_names_the_cause_and_the_log(size: str) -> None:
    """In its last lines."""
    text = " ".join(" ".join(_lines(f"failure-{size}")).split())
    assert "ws01: not OK error: could not install XGBoost" in text
    assert "refuses connections" in text
    assert "/log $" in text
