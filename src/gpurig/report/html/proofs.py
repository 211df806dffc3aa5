"""What was proven on a host, what was not, and what does not apply to it."""

from __future__ import annotations

from collections.abc import Iterable

from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report.html.markup import card, escape, folded, items, lines, prose
from gpurig.report.software import label
from gpurig.report.training import about
from gpurig.report.units import count, duration

_LAYERS = {
    "packages": "System packages",
    "driver": "NVIDIA driver",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "docker": "Docker",
    "rootless": "Docker without root",
    "podman": "Podman",
    "images": "Container images",
    "environments": "Python environments",
    "workloads": "Training",
    "horovod": "Horovod",
}
_MARKS = {
    ProofVerdict.PASSED: ("✓", "good", "passed"),
    ProofVerdict.FAILED: ("✗", "bad", "failed"),
    ProofVerdict.UNKNOWN: ("?", "bad", "unknown"),
    ProofVerdict.DUE: ("!", "attention", "needs you"),
    ProofVerdict.NOT_RUN: ("•", "plain", "not run"),
}
_BEFORE = ("✓", "plain", "passed before")


def proofs(result: HostResult) -> str:
    """The card with every proof that applies, by what it is about."""
    applying = [proof for proof in result.proofs if proof.verdict in _MARKS]
    groups = "".join(
        f"<div><h4>{escape(group)}</h4>{items(map(_entry, members))}</div>"
        for group, members in _grouped(applying).items()
    )
    return card(_title(applying), f"<div class=checks>{groups}</div>" if groups else "", "long")


def not_applicable(result: HostResult) -> str:
    """The fold with those that do not apply, by the reason."""
    found: dict[str, list[str]] = {}
    for proof in result.proofs:
        if proof.verdict is ProofVerdict.NOT_APPLICABLE:
            found.setdefault(proof.reason, []).append(proof.title)
    told = "".join(
        f"<h4>{prose(reason)}</h4>{items(map(escape, titles), 'dim')}"
        for reason, titles in found.items()
    )
    number = sum(map(len, found.values()))
    verb = "does" if number == 1 else "do"
    return folded(f"{count(number, 'proof')} {verb} not apply to this machine", told)


def measured(result: HostResult) -> str:
    """The fold with what proofs measured, but for the pictures."""
    told = []
    for proof in result.proofs:
        values = [f"{key}: {value}" for key, value in proof.detail.items() if key != "plots"]
        if values:
            told.append(f"<h4>{escape(proof.title)}</h4>{lines(values)}")
    return folded("What the proofs measured", "".join(told))


def _title(applying: list[Proof]) -> str:
    passed = sum(proof.verdict is ProofVerdict.PASSED for proof in applying)
    before = sum(proof.deferred for proof in applying)
    all_of_them = count(len(applying), "proof") if passed + before < len(applying) else ""
    told = f"{passed} of {all_of_them}" if all_of_them else count(passed, "proof")
    return f"Proven: {told} passed" + (f", {before} passed before" if before else "")


def _grouped(applying: Iterable[Proof]) -> dict[str, list[Proof]]:
    found: dict[str, list[Proof]] = {}
    for proof in applying:
        layer = proof.id.partition(".")[0]
        group = label(about(proof)) or _LAYERS.get(layer, layer)
        found.setdefault(group, []).append(proof)
    return found


def _entry(proof: Proof) -> str:
    mark, tone, word = _BEFORE if proof.deferred else _MARKS[proof.verdict]
    title = proof.title.removeprefix(f"{about(proof)}: ")
    said = f"<span class=sub>{prose(_said(proof, word))}</span>" if proof.reason else ""
    ran = proof.verdict is not ProofVerdict.NOT_RUN
    took = f"<span class=time>{duration(proof.seconds)}</span>" if ran else ""
    return f"<b class={tone} title='{word}'>{mark}</b><span>{escape(title)}{said}</span>{took}"


def _said(proof: Proof, word: str) -> str:
    plain = proof.deferred or proof.verdict is ProofVerdict.PASSED
    return proof.reason if plain else f"{word}: {proof.reason}"
