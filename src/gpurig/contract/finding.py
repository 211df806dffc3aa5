"""How promises stand: plain data, which resolver, screen and reports read without pyinfra."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum


class Verdict(str, Enum):
    """How a promise stands. Only ``holds`` needs no reason."""

    HOLDS = "holds"
    DRIFTED = "drifted"  # differs; `up` repairs it
    FOLLOWS = "follows"  # only knowable after another promise, which is named
    DUE = "due"  # right but for what waits for a person: reboot, restart, login
    UNKNOWN = "unknown"  # could not be read; never repaired, never green
    LEFT_OUT = "left-out"  # not wanted or not possible here, with the reason


@dataclass(frozen=True)
class Finding:
    """
    How one promise stood when it was looked at.

    + actual, wanted: what is and what should be, in a few words
    + will: what `up` does about it, as a sentence without a subject ("install docker.io")
    + leaves: what of the user's is left as it is, if anything
    + reason: why, for every verdict but holds and drifted
    """

    id: str
    verdict: Verdict
    actual: str = ""
    wanted: str = ""
    will: str = ""
    leaves: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        return {k: v.value if isinstance(v, Verdict) else v for k, v in asdict(self).items()}


def judged(findings: dict[str, Finding]) -> dict[str, Finding]:
    """
    The findings of a whole pass, each that `follows` another judged by how that one stands.

    Behind one that waits for a person it waits too; behind one that could not be read, or that this
    run does not have, nothing that `up` does can make it right.
    """
    return {id: _judged(finding, findings) for id, finding in findings.items()}


def _judged(finding: Finding, findings: dict[str, Finding]) -> Finding:
    seen = {finding.id}
    first: Finding | None = finding
    while first and first.verdict is Verdict.FOLLOWS and first.wanted not in seen:
        seen.add(first.wanted)
        before, layer = first, first.wanted.partition(".")[0]
        first = findings.get(first.wanted) or findings.get(layer)
    if finding.verdict is not Verdict.FOLLOWS:
        return finding
    if first is None:
        reason = (
            f"{before.wanted} comes first and is not part of this run; name its component in"
            " rig_components"
        )
        return replace(finding, verdict=Verdict.DUE, reason=reason)
    if first.verdict in (Verdict.DUE, Verdict.UNKNOWN):
        return replace(finding, verdict=first.verdict, reason=f"{first.id}: {first.reason}")
    if first.verdict is Verdict.LEFT_OUT:
        return replace(finding, verdict=Verdict.DUE, reason=f"{first.id}: {first.reason}")
    return finding
