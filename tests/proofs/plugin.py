"""The proofs' side of pytest: the host to prove, its stack, and one verdict a proof."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from _pytest.outcomes import Skipped  # pytest.skip.Exception, which type checkers do not know
from testinfra.backend.base import BaseBackend, CommandResult

from gpurig.engine.result import Proof, ProofVerdict
from gpurig.engine.runner import Link
from gpurig.settings.table import Settings

# What a person can do where the daemon must restart and containers are running.
RESTART = "run `gpurig up --restart-docker` when they may stop"


class Unproven(Skipped):
    """A proof that ends neither passed nor failed."""

    def __init__(self, verdict: ProofVerdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


def not_applicable(reason: str) -> NoReturn:
    """The host has nothing of which this could be shown."""
    raise Unproven(ProofVerdict.NOT_APPLICABLE, reason)


def not_run(reason: str) -> NoReturn:
    """It could be shown, and was not tried."""
    raise Unproven(ProofVerdict.NOT_RUN, reason)


class Deferred(Unproven):
    """A training that is left for a run in which something has changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(ProofVerdict.NOT_RUN, reason)


def due(reason: str) -> NoReturn:
    """It can be shown once a person has done something."""
    raise Unproven(ProofVerdict.DUE, reason)


class LinkBackend(BaseBackend):  # type: ignore[misc]  # testinfra is untyped
    """testinfra over gpurig's own connection, as root."""

    NAME = "gpurig"

    def __init__(self, link: Link) -> None:
        super().__init__(link.spec.name)
        self.link = link

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        line = self.get_command(command, *args)
        code, output = self.link.run(line, ends=True)
        return self.result(code, line, output.stdout + "\n", output.stderr + "\n")


@dataclass
class Subject:
    """
    What is proven about which host.

    + stack, facts: as in the report; `deferred`: why no training is run, or empty
    + locks: by the environment's name, the version of each package that its lock pins
    """

    stack: dict[str, Any]
    facts: dict[str, Any]
    settings: Settings
    deferred: str
    locks: dict[str, dict[str, str]]
    detail: dict[str, Any] = field(default_factory=dict)
    remark: str = ""  # what a reader must know of a proof that passed

    @property
    def gpus(self) -> list[dict[str, Any]]:
        return list(self.stack["gpus"])

    @property
    def other_gpus(self) -> list[str]:
        """The PCI ids of NVIDIA's GPUs that gpurig leaves alone; the driver may list them."""
        return [gpu["id"] for gpu in self.stack.get("other_gpus", [])]

    @property
    def user(self) -> str:
        """Who workloads are run as: never root."""
        return self.settings.users[0] if self.settings.users else "gpurig"

    def needs_gpu(self) -> None:
        """End the proof where there is no GPU."""
        if not self.gpus:
            not_applicable("no NVIDIA GPU")

    def needs_computing_gpu(self) -> None:
        """End the proof where no GPU can compute, because it is only assumed."""
        self.needs_gpu()
        if self.stack["assumed"]:
            not_run("assumed hardware")


class Proving:
    """The pytest plugin of one host's proofs."""

    def __init__(
        self,
        link: Link,
        stack: dict[str, Any],
        facts: dict[str, Any],
        deferred: str,
        locks: dict[str, dict[str, str]],
        on_proof: Callable[[Proof], None],
        on_begin: Callable[[str, int, int], None],
    ) -> None:
        self.link, self.stack = link, stack
        self.on_proof, self.on_begin = on_proof, on_begin
        self.given = stack, facts, link.spec.settings, deferred, locks

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[PROVING] = self

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.item_subject = Subject(*self.given)
        items = item.session.items
        self.on_begin(_named(item)[1], items.index(item) + 1, len(items))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        ended = report.when == "call" or (report.when == "setup" and not report.passed)
        if ended:
            self.on_proof(self._proof(item, call, report))
        return report

    def _proof(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> Proof:
        name, title = _named(item)
        error = call.excinfo.value if call.excinfo else None
        verdict, reason = ProofVerdict.PASSED, self.item_subject.remark
        if isinstance(error, Unproven):
            verdict, reason = error.verdict, error.reason
        elif isinstance(error, AssertionError):
            verdict, reason = ProofVerdict.FAILED, _sentence(error)
        elif error is not None:
            verdict = ProofVerdict.UNKNOWN
            reason = f"{type(error).__name__}: {_sentence(error)}"
        return Proof(
            name,
            title,
            verdict,
            reason,
            round(report.duration, 2),
            self.item_subject.detail,
            deferred=isinstance(error, Deferred),
        )


def _named(item: pytest.Item) -> tuple[str, str]:
    """A proof's id and title; both name what it is about where it is run for each of several."""
    marker = item.get_closest_marker("proof")
    name = str(marker.args[0]) if marker else item.name
    function = getattr(item, "function", None)
    title = (function.__doc__ if function else None) or item.name
    title = title.strip().splitlines()[0].rstrip(".")
    part = _part(item)
    return (f"{name}.{part}", f"{part}: {title}") if part else (name, title)


def _part(item: pytest.Item) -> str:
    """What a proof that is run for each of several is about: an environment, a program."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.id) if callspec else ""


def _sentence(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


PROVING = pytest.StashKey[Proving]()
