"""How a host stands after a run, in words for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gpurig.contract.promise import Verdict
from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.report.tasks import due
from gpurig.report.units import count
from gpurig.stack.model import Stack

Tone = Literal["good", "plain", "attention", "bad"]

_TRAINING = "workloads."  # the ids of proofs that compute
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
NOTHING_TO_CHANGE = Headline("good", "Nothing to change", "Everything is set up as wanted.")
READY = Headline("good", "Ready", "Everything is set up as wanted, and training works.")
UNTRAINED = Headline(
    "plain", "Set up", "Everything is set up as wanted. Nothing was trained this time."
)
ASSUMED = Headline("plain", "Set up", "Its GPUs are assumed (rig_assume_gpu): none computed.")
DIFFERS = Headline("attention", "Differs", "What was proven works; the settings want more.")


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
    if number := _number(result, _OPEN):
        return _open(command, number)
    if waiting := due(result):
        sentence = f"All else is right; {count(len(waiting), 'thing')} can only be done by you."
        return Headline("attention", "Needs you", sentence)
    if command == "plan":
        return NOTHING_TO_CHANGE
    if isinstance(result.answer, Stack) and result.answer.assumed:
        return ASSUMED
    return READY if _trained(result) else UNTRAINED


def _open(command: str, number: int) -> Headline:
    if command == "verify":
        return DIFFERS
    title = "To do" if command == "plan" else "Not changed"
    unconfirmed = "" if command == "plan" else ", and none was confirmed"
    return Headline("attention", title, f"{count(number, 'change')} to make{unconfirmed}.")


def _trained(result: HostResult) -> bool:
    """Whether training programs ran in this run, and all of them passed."""
    verdicts = {proof.verdict for proof in result.proofs if proof.id.startswith(_TRAINING)}
    return verdicts - {ProofVerdict.NOT_APPLICABLE} == {ProofVerdict.PASSED}


def _number(result: HostResult, verdicts: Sequence[Verdict]) -> int:
    return sum(finding.verdict in verdicts for finding in result.now)
