"""Promises: what each operation keeps, and the one channel by which it says how things stand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, cast

from pyinfra import logger
from pyinfra.api import FileUploadCommand, StringCommand, operation
from pyinfra.api.exceptions import NestedOperationError
from pyinfra.api.operation import PyinfraOperation

from gpurig.contract.finding import Finding, Verdict
from gpurig.errors import InternalError

P = ParamSpec("P")

Commands = Generator[StringCommand | FileUploadCommand, None, None]  # what most operations yield


class Ended(Exception):
    """
    How the promise stands has been stated, and its operation ends here.

    For functions that operations share, after one of the verdicts that run no command; `keeps`
    catches it.
    """


def _ends(error: NestedOperationError) -> None:
    raise error


@dataclass
class Record:
    """
    The findings of one host in one pass, in the order in which they were stated.

    + on_failure: called when a repair failed; ends the pass unless it returns
    + together: whether a repair that fails ends its layer (`layer`)
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    keeping: str | None = None  # the promise whose operation is at work
    on_finding: Callable[[Finding], None] = lambda finding: None
    on_done: Callable[[Finding], None] = lambda finding: None  # after a drift's last command
    on_failure: Callable[[NestedOperationError], None] = _ends
    together: bool = False

    def state(self, finding: Finding) -> None:
        self.findings[finding.id] = finding
        self.on_finding(finding)


def _log(finding: Finding) -> None:
    told = finding.reason or f"{finding.actual} -> {finding.wanted}".strip(" ->")
    logger.info("%s %s: %s", finding.verdict.value, finding.id, told)


# Greenlet-local; set by the runner for each host and pass. Under plain pyinfra findings are logged.
_record: ContextVar[Record | None] = ContextVar("gpurig-record", default=None)


@contextmanager
def recording(record: Record) -> Iterator[Record]:
    """Findings stated within go into this record."""
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def current() -> Record:
    """The record of the pass that is going on."""
    record = _record.get()
    if record is None:
        record = Record(on_finding=_log)
        _record.set(record)
    return record


def _state(verdict: Verdict, **words: str) -> None:
    record = current()
    if record.keeping is None:
        raise InternalError("promise-outside", f"{verdict.value} was stated outside an operation")
    record.state(Finding(record.keeping, verdict, **words))


def holds(reason: str = "") -> None:
    """The promise of the current operation is kept; ``reason`` says how that shows."""
    _state(Verdict.HOLDS, reason=reason)


def drift(actual: str, wanted: str, will: str, leaves: str = "") -> None:
    """The promise is broken and the commands that follow repair it. State it before a yield."""
    _state(Verdict.DRIFTED, actual=actual, wanted=wanted, will=will, leaves=leaves)


def follows(promise: str, reason: str = "") -> None:
    """The promise can only be judged after another one, whose id this is."""
    _state(Verdict.FOLLOWS, reason=reason or f"known after {promise}", wanted=promise)


def due(reason: str) -> None:
    """Everything is done that may be done; the rest waits for a person."""
    _state(Verdict.DUE, reason=reason)


def unknown(reason: str) -> None:
    """The state could not be read; nothing is changed."""
    _state(Verdict.UNKNOWN, reason=reason)


def left_out(promise: str, reason: str) -> None:
    """A deploy leaves a promise (or a layer, by its name) out and says why."""
    current().state(Finding(promise, Verdict.LEFT_OUT, reason=reason))


def undecided(promise: str, reason: str) -> None:
    """The settings ask for a promise (or a layer, by its name) that a deploy cannot judge; why."""
    current().state(Finding(promise, Verdict.UNKNOWN, reason=reason))


def keeps(
    promise: str,
) -> Callable[[Callable[P, Generator[Any, None, None]]], PyinfraOperation[P]]:
    """
    A pyinfra operation that keeps one promise.

    + promise: its id, ``layer.name``; ``{argument}`` in it is filled from the call

    The operation states exactly how the promise stands (`holds`, `drift`, `follows`, `due`,
    `unknown`) before it yields or ends; commands without a drift, a drift without commands and
    silence are internal errors, because the plan would lie.
    """

    def decorator(function: Callable[P, Generator[Any, None, None]]) -> PyinfraOperation[P]:
        signature = inspect.signature(function)

        @wraps(function)
        def kept(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, None, None]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            name = promise.format(**bound.arguments)
            record = current()
            record.findings.pop(name, None)
            record.keeping = name
            commands = 0
            try:
                with suppress(Ended):
                    for command in function(*args, **kwargs):
                        commands += 1
                        if commands == 1:
                            _must_be(name, record, drifted=True)
                        yield command
                _must_be(name, record, drifted=commands > 0)
                if commands:
                    record.on_done(record.findings[name])
            finally:
                record.keeping = None

        whole: Any = operation()(kept)

        @wraps(whole)
        def tried(*args: P.args, **kwargs: P.kwargs) -> Any:
            """What does not stand on this promise goes on when its repair fails."""
            try:
                return whole(*args, **kwargs)
            except NestedOperationError as error:
                if current().together:
                    raise
                current().on_failure(error)

        return cast("PyinfraOperation[P]", tried)

    return decorator


def _must_be(name: str, record: Record, drifted: bool) -> None:
    finding = record.findings.get(name)
    if finding is None:
        raise InternalError("promise-silent", f"the operation for {name} stated no verdict")
    if (finding.verdict is Verdict.DRIFTED) is not drifted:
        said, did = finding.verdict.value, "commands" if drifted else "no commands"
        raise InternalError("promise-lies", f"{name} was stated as {said} with {did}")
