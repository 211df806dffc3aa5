"""What operations may say of their promises, and what is a bug of ours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from gpurig.contract.promise import (
    Record,
    Verdict,
    drift,
    due,
    follows,
    holds,
    keeps,
    recording,
    unknown,
)
from gpurig.errors import InternalError

Body = Callable[[], Generator[str, None, None]]


def _judged(body: Callable[[], Any], commands: int) -> tuple[Record, list[str]]:
    """Run one operation's generator to its end, as the engine does when it applies it."""

    def function(title: str) -> Generator[str, None, None]:
        body()
        yield from ["true"] * commands

    record = Record()
    with recording(record):
        kept = keeps("layer.{title}")(function)
        return record, list(kept._inner(title="thing"))


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (lambda: holds("seen"), Verdict.HOLDS),
        (lambda: follows("other.thing"), Verdict.FOLLOWS),
        (lambda: due("reboot"), Verdict.DUE),
        (lambda: unknown("no answer"), Verdict.UNKNOWN),
    ],
)
def test_only_a_drift_runs_commands(state: Callable[[], None], verdict: Verdict) -> None:
    """Every other verdict ends without commands, and with them it is a bug of ours."""
    record, commands = _judged(state, 0)
    assert record.findings["layer.thing"].verdict is verdict
    assert commands == []
    with pytest.raises(InternalError, match="with commands"):
        _judged(state, 1)


def test_a_drift_is_stated_with_its_commands() -> None:
    """A drift has commands; a drift that changes nothing is a bug of ours."""

    def state() -> None:
        drift(actual="old", wanted="new", will="renew it")

    record, commands = _judged(state, 2)
    assert record.findings["layer.thing"].will == "renew it"
    assert commands == ["true", "true"]
    with pytest.raises(InternalError, match="no commands"):
        _judged(state, 0)


def test_silence_is_a_bug() -> None:
    """An operation that says nothing would be missing from the plan."""
    with pytest.raises(InternalError, match="did not say"):
        _judged(lambda: None, 0)
    with pytest.raises(InternalError, match="did not say"):
        _judged(lambda: None, 1)


def test_a_plan_reads_no_further_than_the_first_command() -> None:
    """The engine stops at the first command when it plans; the drift is known by then."""
    done: list[str] = []

    def function() -> Generator[str, None, None]:
        drift(actual="", wanted="x", will="do it")
        yield "first"
        done.append("second")
        yield "second"

    record = Record()
    with recording(record):
        generator = keeps("layer.plan")(function)._inner()
        assert next(generator) == "first"
        generator.close()
    assert record.findings["layer.plan"].verdict is Verdict.DRIFTED
    assert not done
    assert record.keeping is None
