"""The last lines of a run: what was done, what was right, what is left to the person, what next."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import PurePosixPath

from gpurig.contract.promise import Verdict
from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.settings.table import Settings
from gpurig.stack.model import Refusal, Stack


def ending(result: HostResult, settings: Settings, command: str) -> list[str]:
    """The lines about one host, in the order in which a person wants them."""
    lines = [_headline(result, command)]
    if isinstance(result.answer, Refusal):
        lines += _refusal(result.answer)
    lines += [f"  error: {error}" for error in result.errors]
    if result.final:
        lines.append(f"  changed: {len(result.changed)}")
    right = sum(finding.verdict is Verdict.HOLDS for finding in result.plan)
    if right:
        lines.append(f"  already right: {right}")
    lines += _verdicts(result)
    lines += _proofs(result)
    lines += _proven(result)
    lines += [f"  note: {note}" for note in result.notes]
    if isinstance(result.answer, Stack):
        lines += _assumed(result.answer)
        lines += [f"  warning: {warning}" for warning in result.answer.warnings]
        if command == "up" and result.exit_code(command) in (0, 4):
            lines += _try(result, result.answer, settings)
    return lines


def _proofs(result: HostResult) -> list[str]:
    """How many proofs ended how, and what those say that did not simply pass."""
    if not result.proofs:
        return []
    counts = Counter(proof.verdict for proof in result.proofs)
    told = ", ".join(f"{counts[v]} {v.value}" for v in ProofVerdict if counts[v])
    return [
        f"  proofs: {told}",
        *(
            f"  {proof.verdict.value}: {proof.title}: {proof.reason}"
            for proof in result.proofs
            if proof.verdict in (ProofVerdict.FAILED, ProofVerdict.UNKNOWN)
            or (proof.verdict is ProofVerdict.PASSED and proof.reason)
        ),
    ]


def _assumed(stack: Stack) -> list[str]:
    gpus = ", ".join(gpu.id for gpu in stack.gpus)
    told = f"  assumed hardware: {gpus} (rig_assume_gpu); nothing was computed on it"
    return [told] if stack.assumed else []


def _headline(result: HostResult, command: str) -> str:
    if not result.connected:
        return f"{result.name}: not reached"
    if result.refused:
        return f"{result.name}: refused"
    code = result.exit_code(command)
    if code == 4 and not result.due:
        return f"{result.name}: OK, but not proven"
    if code == 4:
        return f"{result.name}: OK, except what needs you (below)"
    if code == 3:
        return f"{result.name}: {len(result.planned(Verdict.DRIFTED, Verdict.FOLLOWS))} to change"
    return f"{result.name}: {'OK' if code == 0 else 'not OK'}"


def _proven(result: HostResult) -> list[str]:
    """What is remembered of proofs that this run did not run."""
    standing, ran = result.standing, bool(result.proofs)
    planned = result.planned(Verdict.DRIFTED) and not result.final
    if standing is None or result.errors or planned:
        return []
    if standing.missing:
        return [f"  not proven: {standing.missing}; gpurig up runs them"]
    if standing.failed and not ran:
        return [f"  failed when it last ran: {sentence}" for sentence in standing.failed]
    return [] if ran else [f"  proven: {standing.since}, unchanged since"]


def _refusal(refusal: Refusal) -> list[str]:
    what = "these conflict" if len(refusal.conflict) > 1 else "reason"
    lines = [f"  {what}: {'; '.join(refusal.conflict)}"]
    return lines + [f"  you can: {way.change} ({way.costs})" for way in refusal.ways_out]


def _verdicts(result: HostResult) -> list[str]:
    told = {Verdict.DUE: "needs you", Verdict.UNKNOWN: "unknown", Verdict.LEFT_OUT: "left out"}
    return [
        f"  {told[finding.verdict]}: {finding.id}: {finding.reason}"
        for finding in result.now
        if finding.verdict in told
    ]


def _try(result: HostResult, stack: Stack, settings: Settings) -> list[str]:
    lines = []
    if stack.environments:
        path = PurePosixPath(settings.venv_root) / stack.environments[0].name
        lines.append(f"  try: source {shlex.quote(f'{path}/bin/activate')}")
    if stack.docker:
        gpu = "--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all " if stack.container_toolkit else ""
        what = "nvidia-smi" if gpu else "sh"
        lines.append(f"  try: docker run --rm -it {gpu}debian:stable {what}")
    return lines
