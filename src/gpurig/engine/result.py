"""What a run found and did, as plain data: the one source of screen, JSON and report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.values import as_json
from gpurig.errors import GpurigError
from gpurig.stack.model import Refusal, Stack


class ProofVerdict(str, Enum):
    """How a proof ended; every one but ``passed`` has a reason, and that one may have a remark."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DUE = "due"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Proof:
    """
    One proof on one host.

    + id: ``layer.what``, as its promise; title: what it shows, as a sentence
    + detail: measured values and pictures (``plots``: name -> base64 PNG), JSON data
    + deferred: whether it is a training that passed before and was not run again
    """

    id: str
    title: str
    verdict: ProofVerdict
    reason: str = ""
    seconds: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
    deferred: bool = False


@dataclass(frozen=True)
class Standing:
    """
    Whether every proof of a host has passed for the state in which the host is.

    + failed: a sentence for each proof that failed when it last ran
    + missing: why the host is not proven although none failed; empty if it is
    + since: when the oldest of its proofs ran, in UTC; empty where none did
    """

    failed: tuple[str, ...] = ()
    missing: str = ""
    since: str = ""

    @property
    def proven(self) -> bool:
        return not self.failed and not self.missing


@dataclass
class HostResult:
    """
    One host's run.

    + plan: findings before anything was changed; final: findings at the end
    + changed: promises whose verdict changed, in the order of the deploy
    + standing: whether the host is proven as it is now; None where no stack was resolved
    """

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    answer: Stack | Refusal | None = None
    plan: list[Finding] = field(default_factory=list)
    final: list[Finding] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    standing: Standing | None = None
    errors: list[GpurigError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    connected: bool = False
    seconds: float = 0.0

    def planned(self, *verdicts: Verdict) -> list[Finding]:
        """The plan's findings of these verdicts."""
        return [finding for finding in self.plan if finding.verdict in verdicts]

    @property
    def now(self) -> list[Finding]:
        """The last findings there are."""
        return self.final or self.plan

    @property
    def changed(self) -> list[Finding]:
        """The plan's findings whose promise has another verdict at the end."""
        after = {finding.id: finding.verdict for finding in self.final}
        return [f for f in self.plan if self.final and after.get(f.id, f.verdict) != f.verdict]

    @property
    def refused(self) -> bool:
        return isinstance(self.answer, Refusal)

    def exit_code(self, command: str) -> int:
        """This host's own exit code; `exit_code` below joins those of all hosts."""
        verdicts = {finding.verdict for finding in self.now}
        proofs = {proof.verdict for proof in self.proofs}
        if self.errors or self.refused or Verdict.UNKNOWN in verdicts:
            return 1
        if proofs & {ProofVerdict.FAILED, ProofVerdict.UNKNOWN}:
            return 1
        if verdicts & {Verdict.DRIFTED, Verdict.FOLLOWS} and command in ("plan", "up", "remove"):
            return 1 if command == "up" else 3
        return self._remembered() or (4 if self.due else 0)

    @property
    def due(self) -> bool:
        """Whether a promise or a proof waits for a person."""
        verdicts = {finding.verdict for finding in self.now}
        return Verdict.DUE in verdicts or any(p.verdict is ProofVerdict.DUE for p in self.proofs)

    def _remembered(self) -> int:
        """The exit code for what is remembered of proofs: 0 where nothing failed or is missing."""
        if self.standing and self.standing.failed:
            return 1
        return 4 if self.standing and self.standing.missing else 0

    def as_json(self) -> dict[str, Any]:
        answer = self.answer
        return {
            "stack": answer.as_json() if isinstance(answer, Stack) else None,
            "refusal": answer.as_json() if isinstance(answer, Refusal) else None,
            "because": [asdict(because) for because in answer.because] if answer else [],
            "warnings": list(answer.warnings) if answer else [],
            "facts": {key: as_json(value) for key, value in self.facts.items()},
            "plan": [finding.as_json() for finding in self.plan],
            "final": [finding.as_json() for finding in self.final],
            "changed": [finding.id for finding in self.changed],
            "proofs": [asdict(proof) | {"verdict": proof.verdict.value} for proof in self.proofs],
            "proven": self._proven(),
            "errors": [error.as_json() for error in self.errors],
            "notes": self.notes,
            "seconds": round(self.seconds, 2),
        }

    def _proven(self) -> dict[str, Any] | None:
        standing = self.standing
        return asdict(standing) | {"proven": standing.proven} if standing else None


def exit_code(command: str, hosts: list[HostResult]) -> int:
    """
    The exit code of a run over all its hosts, as the docs list them.

    2 before 1 before 3 before 4: a run in which no host at all could be used is bad input.
    """
    if hosts and all(host.refused or not host.connected for host in hosts):
        return 2
    codes = {host.exit_code(command) for host in hosts}
    return next((code for code in (1, 3, 4) if code in codes), 0)
