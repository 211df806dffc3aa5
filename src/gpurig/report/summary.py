"""The last lines of a run: what was done, what was right, what is left to the person, what next."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import PurePosixPath

from gpurig.contract.finding import Verdict
from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.images.recipe import reference
from gpurig.operations.environments.uv import UV
from gpurig.report.plan import CHANGING, counts, left_out
from gpurig.settings.table import Settings
from gpurig.stack.gpus import called
from gpurig.stack.model import Refusal, Stack


def ending(result: HostResult, settings: Settings, command: str) -> list[str]:
    """The lines about one host, in the order in which a person wants them."""
    lines = [_headline(result, command)]
    if isinstance(result.answer, Refusal):
        lines += _refusal(result.answer)
    lines += [f"  error: {error.told(result.name)}" for error in result.errors]
    if command == "up" and not result.changed and not result.errors and not result.notes:
        lines.append("  nothing changed")
    right = len(result.planned(Verdict.HOLDS))
    if right and command != "remove" and result.exit_code(command) != 3:
        lines.append(f"  already right: {right}")
    lines += _verdicts(result, command)
    lines += _proofs(result)
    lines += _proven(result)
    lines += [f"  note: {note}" for note in result.notes]
    if isinstance(result.answer, Stack):
        lines += _assumed(result.answer)
        lines += [f"  warning: {warning}" for warning in result.answer.warnings]
        if command == "up" and result.exit_code(command) in (0, 4):
            lines += _try(result.answer, settings)
    return lines


def verdict(lines: list[str]) -> list[str]:
    """Of the lines about one host: how it stands, and its errors."""
    return [lines[0], *(line for line in lines[1:] if line.startswith("  error: "))]


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
    gpus = ", ".join(called(gpu) for gpu in stack.gpus)
    told = f"  assumed hardware: {gpus} (rig_assume_gpu); nothing was computed on it"
    return [told] if stack.assumed else []


def _headline(result: HostResult, command: str) -> str:
    if not result.connected:
        return f"{result.name}: not reached"
    if result.refused:
        return f"{result.name}: refused"
    code = result.exit_code(command)
    if command == "remove" and code in (0, 3):
        return f"{result.name}: {_removed(result)}"
    if code == 4 and not result.due:
        return f"{result.name}: OK, but not proven"
    if code == 4:
        return f"{result.name}: OK, except what needs you (below)"
    if code == 3:
        return f"{result.name}: {counts(result)}"
    return f"{result.name}: {'OK' if code == 0 else 'not OK'}"


def _removed(result: HostResult) -> str:
    """How a removal without a fault ended."""
    number = len(result.planned(Verdict.DRIFTED))
    if not number:
        return "nothing to remove"
    return f"{number} to remove" if not result.final else "OK"


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


def _verdicts(result: HostResult, command: str) -> list[str]:
    told = {Verdict.DUE: "needs you", Verdict.UNKNOWN: "unknown"}
    drifted = len(result.planned(*CHANGING)) if command == "verify" else 0
    open_ = [f"  {drifted} to change: gpurig plan shows what, gpurig up does it"] if drifted else []
    return [
        *open_,
        *(
            f"  {told[finding.verdict]}: {finding.id}: {finding.reason}"
            for finding in result.now
            if finding.verdict in told
        ),
        *(f"  left out: {', '.join(ids)}: {reason}" for reason, ids in left_out(result.now)),
    ]


def _try(stack: Stack, settings: Settings) -> list[str]:
    lines = []
    if stack.environments:
        path = PurePosixPath(settings.venv_root) / stack.environments[0].name
        lines.append(f"  try: source {shlex.quote(f'{path}/bin/activate')}")
        python = shlex.quote(f"{path}/bin/python")
        lines.append(f"  add packages as root: {UV} pip install --python {python} NAME")
    if stack.docker:
        gpu = "--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all " if stack.container_toolkit else ""
        what = "nvidia-smi" if gpu else "sh"
        image = reference(stack.images[0].name) if stack.images else "debian:stable"
        pulls = "" if stack.images else " (Docker pulls the image)"
        lines.append(f"  try{pulls}: docker run --rm -it {gpu}{image} {what}")
    return lines
