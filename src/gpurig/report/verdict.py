"""How a host stands after a run, in words for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gpurig.contract.finding import Verdict
from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.report.tasks import due
from gpurig.report.units import count, moment
from gpurig.stack.model import Stack

Tone = Literal["good", "plain", "attention", "bad"]

_PROGRAMS, _PRODUCT = "workloads.", "workloads.matmul"  # all of them train but this one
_SET_UP = "Everything is set up as wanted"
_OPEN = (Verdict.DRIFTED, Verdict.FOLLOWS)


@dataclass(frozen=True)
class Headline:
    """
    How one host stands.

    + tone: ``good`` only where everything is right, and after `up` and `verify` it trained
    + title: a few words; sentence: what they mean
    """

    tone: Tone
    title: str
    sentence: str


NOT_REACHED = Headline("bad", "Not reached", "gpurig cannot work on this machine.")
REFUSED = Headline("bad", "Refused", "No versions fit what is wanted here; nothing was changed.")
STOPPED = Headline("bad", "Failed", "The run stopped before its end.")
DIFFERS = Headline("attention", "Differs", "What was proven works; the settings want more.")
NOT_PROVEN = Headline("attention", "Not proven", f"{_SET_UP}; not every proof has passed for it.")
NOTHING_TO_CHANGE = Headline("good", "Nothing to change", f"{_SET_UP}, and every proof passed.")
READY = Headline("good", "Ready", f"{_SET_UP}, and training works.")
UNTRAINED = Headline("plain", "Set up", f"{_SET_UP}; no training ran.")
REMOVED = Headline("good", "Removed", "Nothing of gpurig's is left that it may take away.")
ASSUMED = Headline("plain", "Set up", f"{_SET_UP}. The GPUs are assumed: none computed anything.")


def headline(result: HostResult, command: str) -> Headline:
    """How the host stands, by the worst that is known of it."""
    if not result.connected:
        return NOT_REACHED
    if result.refused:
        return REFUSED
    if result.errors:
        return STOPPED
    counts = Counter(proof.verdict for proof in result.proofs)
    if failed := counts[ProofVerdict.FAILED]:
        tried = len(result.proofs) - counts[ProofVerdict.NOT_APPLICABLE]
        return Headline("bad", "Does not work", f"{failed} of {count(tried, 'proof')} failed.")
    unknown = counts[ProofVerdict.UNKNOWN] + _number(result, [Verdict.UNKNOWN])
    if unknown:
        sentence = f"{count(unknown, 'thing')} that must be right cannot be read."
        return Headline("bad", "Unknown", sentence)
    return _without_faults(result, command)


def _without_faults(result: HostResult, command: str) -> Headline:
    number = _number(result, _OPEN)
    if command == "remove" and not number and not due(result):
        return REMOVED
    if number and command != "verify":
        return _open(command, number)
    if result.standing and (failed := len(result.standing.failed)):
        sentence = f"{count(failed, 'proof')} failed in a run before this one."
        return Headline("bad", "Does not work", sentence)
    if number:
        return DIFFERS
    if waiting := due(result):
        sentence = f"All else is right; {count(len(waiting), 'thing')} can only be done by you."
        return Headline("attention", "Needs you", sentence)
    if result.standing and result.standing.missing:
        return NOT_PROVEN
    if isinstance(result.answer, Stack) and result.answer.assumed:
        return ASSUMED
    if command == "plan" and result.standing:
        return NOTHING_TO_CHANGE
    return _trained(result)


def _open(command: str, number: int) -> Headline:
    changes = count(number, "change")
    if command == "plan":
        return Headline("attention", "To do", f"{changes} to make.")
    return Headline("attention", "Not changed", f"{changes} to make, and none was confirmed.")


def _trained(result: HostResult) -> Headline:
    """Whether training programs passed, in this run or in one before, for this very state."""
    programs = [
        proof
        for proof in result.proofs
        if proof.id.startswith(_PROGRAMS) and not proof.id.startswith(_PRODUCT)
    ]
    if any(proof.deferred for proof in programs) and result.standing:
        since = moment(result.standing.since)
        return replace(READY, sentence=f"{_SET_UP}. Training passed on {since}, unchanged since.")
    passed = any(proof.verdict is ProofVerdict.PASSED for proof in programs)
    return READY if passed else UNTRAINED


def _number(result: HostResult, verdicts: Sequence[Verdict]) -> int:
    return sum(finding.verdict in verdicts for finding in result.now)
