"""Exit codes and what counts as changed."""

from __future__ import annotations

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict, exit_code
from gpurig.errors import HostError
from gpurig.report.frame import of_run
from gpurig.report.junit import suites
from gpurig.stack.model import Refusal, Stack

STACK = Stack("debian:13", "x86_64")


def _host(
    plan: Verdict = Verdict.HOLDS,
    final: Verdict | None = None,
    proof: ProofVerdict | None = None,
    error: bool = False,
    connected: bool = True,
) -> HostResult:
    result = HostResult("h", answer=STACK, connected=connected)
    result.plan = [Finding("a.b", plan)]
    result.final = [Finding("a.b", final)] if final else []
    result.proofs = [Proof("a.b", "it works", proof)] if proof else []
    result.errors = [HostError("x", "broken")] if error else []
    return result


@pytest.mark.parametrize(
    ("command", "hosts", "code"),
    [
        ("plan", [_host()], 0),
        ("plan", [_host(Verdict.DRIFTED)], 3),
        ("plan", [_host(Verdict.FOLLOWS)], 3),
        ("plan", [_host(Verdict.DUE)], 4),
        ("plan", [_host(Verdict.UNKNOWN)], 1),
        ("plan", [_host(Verdict.DRIFTED), _host(Verdict.DUE)], 3),
        ("plan", [_host(Verdict.DRIFTED), _host(Verdict.UNKNOWN)], 1),
        ("up", [_host(Verdict.DRIFTED, Verdict.HOLDS)], 0),
        ("up", [_host(Verdict.DRIFTED, Verdict.DRIFTED)], 1),
        ("up", [_host(Verdict.DRIFTED, Verdict.DUE)], 4),
        ("up", [_host(Verdict.DRIFTED)], 1),  # declined: it is not OK
        ("up", [_host(proof=ProofVerdict.FAILED)], 1),
        ("up", [_host(proof=ProofVerdict.UNKNOWN)], 1),
        ("up", [_host(proof=ProofVerdict.DUE)], 4),
        ("up", [_host(proof=ProofVerdict.NOT_RUN)], 0),
        ("up", [_host(error=True)], 1),
        ("up", [_host(error=True, connected=False)], 2),
        ("up", [_host(), _host(error=True, connected=False)], 1),
        ("verify", [_host(Verdict.DRIFTED, proof=ProofVerdict.PASSED)], 0),
    ],
)
def test_exit_codes(command: str, hosts: list[HostResult], code: int) -> None:
    """2 before 1 before 3 before 4 before 0; a run that reached nobody is 2."""
    assert exit_code(command, hosts) == code


def test_a_refusal_everywhere_is_bad_input() -> None:
    """A refusal on the only host is exit 2, among others 1."""
    refused = HostResult("h", answer=Refusal(("a", "b"), ()), connected=True)
    assert exit_code("up", [refused]) == 2
    assert exit_code("up", [refused, _host()]) == 1


def test_changed_is_what_has_another_verdict_at_the_end() -> None:
    """Commands that ran are not what counts; verdicts before and after are."""
    assert [f.id for f in _host(Verdict.DRIFTED, Verdict.HOLDS).changed] == ["a.b"]
    assert not _host(Verdict.DUE, Verdict.DUE).changed
    assert not _host(Verdict.DRIFTED).changed


def test_junit_never_counts_what_was_not_shown_as_passed() -> None:
    """Every verdict but passed has a child element in its case."""
    for verdict in ProofVerdict:
        xml = suites([_host(proof=verdict)])
        shown = "<failure" in xml or "<error" in xml or "<skipped" in xml
        assert shown is (verdict is not ProofVerdict.PASSED)


def test_the_json_frame() -> None:
    """Every --json has the same four keys, and each host's errors are in the common list."""
    told = of_run("up", [_host(error=True)])
    assert list(told) == ["schema", "command", "hosts", "errors"]
    assert told["errors"][0]["what"] == "broken"
    assert told["hosts"]["h"]["stack"]["distribution"] == "debian:13"
