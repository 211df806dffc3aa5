"""What operations may say of their promises, and what is a bug of ours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from gpurig.contract.fact import Always
from gpurig.contract.finding import Finding, Verdict, judged
from gpurig.contract.known import known, sure
from gpurig.contract.promise import (
    Ended,
    Record,
    drift,
    due,
    follows,
    holds,
    keeps,
    recording,
    unknown,
)
from gpurig.contract.values import Unknown
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
    with pytest.raises(InternalError, match="stated no verdict"):
        _judged(lambda: None, 0)
    with pytest.raises(InternalError, match="stated no verdict"):
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


class Weather(Always[str]):
    """A fact that each test answers for itself."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Decides what every fact says."""

    def says(value: object) -> None:
        monkeypatch.setattr("gpurig.contract.fact.host", SimpleNamespace(get_fact=lambda _: value))

    return says


def test_an_operation_ends_where_a_fact_that_it_needs_is_unknown(
    answers: Callable[[object], None],
) -> None:
    """Its promise is unknown for that reason, and nothing after it is done."""
    done: list[str] = []

    def function() -> Generator[str, None, None]:
        done.append(known(Weather))
        drift(actual="", wanted="x", will="do it")
        yield "true"

    record = Record()
    with recording(record):
        answers(Unknown("it is foggy"))
        assert list(keeps("layer.need")(function)._inner()) == []
        finding = record.findings["layer.need"]
        assert (finding.verdict, finding.reason, done) == (Verdict.UNKNOWN, "it is foggy", [])
        answers("sunny")
        assert list(keeps("layer.need")(function)._inner()) == ["true"]
    assert done == ["sunny"]
    assert record.findings["layer.need"].verdict is Verdict.DRIFTED


def test_a_fact_that_is_needed_is_read_before_the_first_command() -> None:
    """After a command it is a bug of ours: the plan has said that something is done."""

    def function() -> Generator[str, None, None]:
        drift(actual="", wanted="x", will="do it")
        yield "true"
        sure(Unknown("it is foggy"))

    with recording(Record()), pytest.raises(InternalError, match="unknown with commands"):
        list(keeps("layer.late")(function)._inner())


def test_a_promise_may_end_in_what_operations_share() -> None:
    """A function states a verdict without commands and ends the operation that called it."""

    def state() -> None:
        follows("other.thing")
        raise Ended

    record, _ = _judged(state, 1)
    assert record.findings["layer.thing"].verdict is Verdict.FOLLOWS


JUDGED = {
    "behind a change": ([("a.one", "drifted", ""), ("a.two", "follows", "a.one")], "follows"),
    "behind one that waits for a person": (
        [("a.one", "due", ""), ("a.two", "follows", "a.one")],
        "due",
    ),
    "behind one that cannot be read": (
        [("a.one", "unknown", ""), ("a.two", "follows", "a.one")],
        "unknown",
    ),
    "two behind one that waits": (
        [("a.one", "due", ""), ("a.mid", "follows", "a.one"), ("a.two", "follows", "a.mid")],
        "due",
    ),
    "behind one that comes later": (
        [("a.two", "follows", "a.one"), ("a.one", "drifted", "")],
        "follows",
    ),
    "behind one that is not in the run": ([("a.two", "follows", "driver.packages")], "due"),
    "behind one that is left out": (
        [("a.one", "left-out", ""), ("a.two", "follows", "a.one")],
        "due",
    ),
    "behind one that holds": ([("a.one", "holds", ""), ("a.two", "follows", "a.one")], "follows"),
    "behind a layer that cannot be judged": (
        [("driver", "unknown", ""), ("a.two", "follows", "driver.packages")],
        "unknown",
    ),
    "behind a layer that is left out": (
        [("driver", "left-out", ""), ("a.two", "follows", "driver.packages")],
        "due",
    ),
    "in a circle": ([("a.one", "follows", "a.two"), ("a.two", "follows", "a.one")], "follows"),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_follows_is_judged_by_what_comes_first(case: str) -> None:
    """A promise behind one that no run of ours can make right never ends as a failure of ours."""
    told, verdict = JUDGED[case]
    findings = {
        id: Finding(id, Verdict(said), wanted=first, reason=f"why {id}") for id, said, first in told
    }
    found = judged(findings)
    assert found["a.two"].verdict.value == verdict
    assert {id: f for id, f in found.items() if id != "a.two"}.keys() <= findings.keys()
    if verdict in ("due", "unknown"):
        words = ("why a.one", "why driver") if told[1:] else ("rig_components",)
        assert any(word in found["a.two"].reason for word in words)
