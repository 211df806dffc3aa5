"""What the last plan of a host is still worth, and which drift it must have named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.runner import Link
from lab.hosts import Host

from .passes import Passes


@dataclass
class _Machine:
    """A host and its link in one, on which a run repairs everything; it counts its plans."""

    broken: set[str] = field(default_factory=set)
    plans: int = 0

    def plan(self, deploy: object) -> Any:
        self.plans += 1
        return self.apply(None)

    def apply(self, deploy: object) -> Any:
        verdicts = {
            id: Verdict.DRIFTED if id in self.broken else Verdict.HOLDS for id in ("a", "b")
        }
        if deploy is not None:
            self.broken.clear()
        return SimpleNamespace(findings={id: Finding(id, one) for id, one in verdicts.items()})

    def run(self, command: str) -> tuple[int, str, str]:
        self.broken |= set(command.split())
        return 0, "", ""


def _deploy() -> None:
    """All that is promised."""


def _passes() -> tuple[Passes, _Machine]:
    machine = _Machine()
    return Passes(cast(Host, machine), cast(Link, machine)), machine


REACHED: dict[str, tuple[Callable[[Passes], object], int]] = {
    "nobody": (lambda passes: None, 0),
    "a look": (lambda passes: passes.look(""), 0),
    "a command": (lambda passes: passes.shell(""), 1),
    "the host": (lambda passes: passes.host, 1),
    "its link": (lambda passes: passes.link, 1),
    "the plan of another deploy": (lambda passes: passes.plan(lambda: None), 2),
}


@pytest.mark.parametrize(("reach", "plans"), REACHED.values(), ids=REACHED)
def test_a_host_is_planned_again_once_somebody_reached_for_it(
    reach: Callable[[Passes], object], plans: int
) -> None:
    """The last plan counts until a command, the host or its link was asked for."""
    passes, machine = _passes()
    passes.plan(_deploy)
    machine.plans = 0

    reach(passes)
    passes.still_hold(_deploy)

    assert machine.plans == plans


def test_a_host_that_does_not_hold_is_found() -> None:
    """Neither a plan that found a drift nor one before the drift lets a test begin."""
    passes, _ = _passes()
    passes.plan(_deploy)
    passes.shell("a")
    for _ in range(2):
        with pytest.raises(AssertionError):
            passes.still_hold(_deploy)


def test_a_repair_is_three_passes_and_names_exactly_what_is_broken() -> None:
    """Plan, apply, plan; a drift that the plan does not name, or one too many, fails."""
    passes, machine = _passes()

    passes.repaired(_deploy, "a", {"a"})
    passes.still_hold(_deploy)

    assert machine.plans == 2
    for named in (set[str](), {"b"}, {"a", "b"}):
        with pytest.raises(AssertionError):
            passes.repaired(_deploy, "a", named)
