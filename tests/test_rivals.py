"""An environment that holds another wheel of its framework is made anew, not written over."""

from __future__ import annotations

from typing import Any

import pytest

from gpurig.contract import frameworks
from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.promise import Record, recording
from gpurig.contract.values import ABSENT
from gpurig.facts.environments.environment import EnvironmentContents
from gpurig.operations.environments import environment
from gpurig.operations.environments.uv import Downloads
from gpurig.operations.shared import ownership
from gpurig.stack.model import Environment
from gpurig.wheels import locks
from gpurig.wheels.locks import Lock

HASHES = [f"--hash=sha256:{digit * 64}" for digit in "01"]
LOCK = Lock("trees-1-cuda", f"trees==1 {HASHES[0]}\nsetuptools==1 {HASHES[1]}\n")
CONTENTS: dict[str, Any] = {
    "python": "3.13", "installed": {"trees_cpu": "1", "setuptools": "1", "mine": "2"},
    "broken": [], "elsewhere": [], "record": "trees-1-cpu", "own": [],
    "changing": False, "unfinished": False, "aside": "", "open": "", "closed": "",
    "lost": False, "hidden": [],
}  # fmt: skip


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What an operation states, and its commands, of an environment with these contents."""
    monkeypatch.setattr(ownership, "root_alone", lambda *_: None)

    def looked(operation: Any, contents: object, **options: Any) -> tuple[Finding, list[str]]:
        def read(fact: type, **_: Any) -> Any:
            return contents if fact is EnvironmentContents else ABSENT

        monkeypatch.setattr(environment, "known", read)
        given = {"title": "trees", "path": "/e/trees", "lock": LOCK, "rivals": ("trees-cpu",)}
        record = Record()
        with recording(record):
            commands = operation._inner(**given, downloads=Downloads(None, None), **options)
            lines = [str(getattr(command, "bits", command)) for command in commands]
        (finding,) = record.findings.values()
        return finding, lines

    return looked


def test_a_rival_is_a_drift_of_the_interpreter_and_is_not_installed_again(look: Any) -> None:
    """What the user added is; the plan names what it found."""
    finding, lines = look(environment.interpreter, CONTENTS, python="3.13")
    assert finding.verdict is Verdict.DRIFTED
    assert finding.actual == "it holds trees-cpu"
    assert "mine (installed again)" in finding.leaves
    assert "mine==2" in lines[-1]
    assert "trees-cpu==1" not in lines[-1]


def test_packages_wait_for_the_environment_without_it(look: Any) -> None:
    """Nothing is installed over a rival."""
    finding, lines = look(environment.packages, CONTENTS)
    assert finding.verdict is Verdict.FOLLOWS
    assert "environment.trees.interpreter" in finding.reason
    assert lines == []


def test_without_a_rival_nothing_is_made_anew(look: Any) -> None:
    """As it was."""
    contents = CONTENTS | {"installed": {"trees": "1", "setuptools": "1"}}
    finding, lines = look(environment.interpreter, contents, python="3.13")
    assert (finding.verdict, lines) == (Verdict.HOLDS, [])


def test_the_rivals_are_the_other_wheels_of_the_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the base, where it stands on one; what the lock has is none."""
    trees = frameworks.Framework("trees", "Trees", "trees", "trees", (), ("trees", "trees_cpu"), ())
    monkeypatch.setattr(locks, "frameworks", lambda: {"trees": trees})
    wanted = Environment("x", "x", "trees", "1", "3.13", "cpu", (), "x")
    assert locks.rivals(wanted, LOCK.text) == ("trees-cpu",)
