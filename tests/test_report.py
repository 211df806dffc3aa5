"""The page that people open."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from gpurig.errors import HostError
from gpurig.promise import Finding, Verdict
from gpurig.report.html import page
from gpurig.report.junit import suites
from gpurig.result import HostResult, Proof, ProofVerdict
from gpurig.stack.model import Stack

PIXEL = "iVBORw0KGgo="
HOSTILE = "<script>alert('x')</script>"


def _result() -> HostResult:
    result = HostResult(HOSTILE, answer=Stack("debian 13", "x86_64"), connected=True)
    result.facts = {"architecture": HOSTILE}
    result.plan = [Finding("a.b", Verdict.DRIFTED, HOSTILE, "right", HOSTILE)]
    result.final = [Finding("a.b", Verdict.HOLDS, reason=HOSTILE)]
    detail = {"accuracy": 0.98, "plots": {"curve.png": PIXEL}}
    result.proofs = [Proof("a.b", HOSTILE, ProofVerdict.FAILED, HOSTILE, 1.0, detail)]
    result.errors = [HostError("x", HOSTILE)]
    return result


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """Self-contained: pictures are in it, and whatever a host said is text."""
    html = page("up", [_result()], 1)
    assert f"data:image/png;base64,{PIXEL}" in html
    assert "<script" not in html
    assert not re.search(r"(src|href)='?(https?:)?//", html)


def test_junit_is_well_formed() -> None:
    """Names are escaped and the counts are those of the cases."""
    (suite,) = ElementTree.fromstring(suites([_result()]))
    assert suite.get("name") == HOSTILE
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")
