"""What a run leaves to a person: what it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report.units import count
from gpurig.stack.model import Refusal

Kind = Literal["failed", "conflict", "unknown", "due", "open"]

_OPEN = (Verdict.DRIFTED, Verdict.FOLLOWS)


@dataclass(frozen=True)
class Task:
    """
    Something that is left to a person.

    + kind: how it stands; what: what it is, as a sentence
    + do: the way on, where `what` does not say it; about: its promise or proof, where it is one's
    """

    kind: Kind
    what: str
    do: str = ""
    about: str = ""


_OF_PROOFS: dict[ProofVerdict, tuple[Kind, str]] = {
    ProofVerdict.FAILED: ("failed", "Repair what the sentence names, then run `gpurig verify`."),
    ProofVerdict.UNKNOWN: ("unknown", "Run `gpurig verify` again; the log says more."),
}
_AFTER_FAILURE = "Remove the cause, then run `gpurig up` again: changes so far stay."
NOT_READ = Task(
    "unknown", "How this machine stands was not read again after the failure.", _AFTER_FAILURE
)
_OF_UNKNOWN = "Remove the cause, then run `gpurig up` again: what cannot be read is not changed."


def is_read_again(result: HostResult, command: str) -> bool:
    """
    Whether `result.now` is how the host stands after the run.

    It is not where `up` had something to change, met an error and read nothing after it.
    """
    at_risk = command == "up" and result.errors and result.planned(*_OPEN)
    return bool(result.final or not at_risk)


def tasks(result: HostResult, command: str) -> list[Task]:
    """All that is left to a person, the worst first."""
    found = [*_errors(result), *_refused(result), *_proofs(result)]
    if not is_read_again(result, command):
        return [*found, NOT_READ]
    found += [
        Task("unknown", finding.reason, _OF_UNKNOWN, finding.id)
        for finding in result.now
        if finding.verdict is Verdict.UNKNOWN
    ]
    found += due(result)
    if not result.errors:
        found += _standing(result)
    number = sum(finding.verdict in _OPEN for finding in result.now)
    if number:
        do = _AFTER_FAILURE if result.errors else "Run `gpurig up`."
        found.append(Task("open", f"{count(number, 'change')} to make, listed below.", do))
    return found


def due(result: HostResult) -> list[Task]:
    """What waits for a person: of promises and proofs, each reason once."""
    waiting: list[Finding | Proof] = [f for f in result.now if f.verdict is Verdict.DUE]
    waiting += [p for p in result.proofs if p.verdict is ProofVerdict.DUE]
    first: dict[str, str] = {}
    for one in waiting:
        first.setdefault(one.reason, one.id)
    return [Task("due", reason, about=about) for reason, about in first.items()]


def _standing(result: HostResult) -> Iterator[Task]:
    """What earlier runs left unproven."""
    standing = result.standing
    if standing is None or (result.planned(*_OPEN) and not result.final):
        return
    if standing.missing:
        yield Task("open", f"This state is not proven: {standing.missing}", "Run `gpurig up`.")
    if not any(proof.verdict in _OF_PROOFS for proof in result.proofs):
        for sentence in standing.failed:
            yield Task(
                "failed", f"When it last ran: {sentence}", _OF_PROOFS[ProofVerdict.FAILED][1]
            )


def _errors(result: HostResult) -> Iterator[Task]:
    for error in result.errors:
        where = "" if error.where in ("", result.name) else f"{error.where}: "
        yield Task("failed", where + error.what, error.do)


def _refused(result: HostResult) -> Iterator[Task]:
    if isinstance(result.answer, Refusal):
        ways = "; or ".join(
            f"{way.change} ({way.costs})" if way.costs else way.change
            for way in result.answer.ways_out
        )
        yield Task("conflict", "; ".join(result.answer.conflict), ways)


def _proofs(result: HostResult) -> Iterator[Task]:
    for verdict, (kind, do) in _OF_PROOFS.items():
        for proof in result.proofs:
            if proof.verdict is verdict:
                yield Task(kind, f"{proof.title}: {proof.reason}", do, proof.id)
