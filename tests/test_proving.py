"""The proofs' own process: whatever it says, the run goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpurig.engine.proving import prove
from gpurig.engine.result import HostResult
from gpurig.hosts.inventory import HostSpec
from gpurig.stack.model import Stack

CHILD = """#!/bin/sh
read -r _
head -c 300000 /dev/zero | tr '\\0' x >&2
echo '{"proof": {"id": "a.b", "title": "It works", "verdict": "failed", "reason": "long"}}'
exit 1
"""


def test_proofs_that_fail_at_length_do_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is written to standard error than a pipe holds, before the next proof is told."""
    child = tmp_path / "python"
    child.write_text(CHILD)
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    spec = HostSpec.of("gpu01", "ssh", "192.0.2.1", {})
    answer = HostResult("gpu01", answer=Stack("debian 13", "x86_64"))

    (proof,) = prove(spec, answer, False, lambda _: None, lambda _: None)

    assert (proof.id, proof.verdict.value, proof.reason) == ("a.b", "failed", "long")


def test_each_proof_is_named_before_it_runs() -> None:
    """With its place among all of them, while it still runs; this machine without any layer."""
    begun: list[tuple[str, int, int]] = []
    ended: list[str] = []

    def begins(*told: object) -> None:
        assert len(begun) == len(ended)
        begun.append(told)  # type: ignore[arg-type]

    spec = HostSpec.of("@local", "local", "@local", {})
    answer = HostResult("@local", answer=Stack("debian 12", "x86_64"))
    proofs = prove(spec, answer, "", lambda p: ended.append(p.title), lambda _: None, begins)
    assert [proof.title for proof in proofs] == ended == [title for title, _, _ in begun]
    assert [(number, of) for _, number, of in begun] == [
        (number + 1, len(proofs)) for number in range(len(proofs))
    ]
