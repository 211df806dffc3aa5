"""The screen: what a person needs to see, and no more."""

from __future__ import annotations

import pytest

from gpurig.engine.result import Proof, ProofVerdict
from gpurig.report.screen import Screen


@pytest.mark.parametrize("verdict", ProofVerdict)
def test_proofs_that_do_not_apply_are_left_to_the_report(
    verdict: ProofVerdict, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every other verdict is told with its reason as it comes."""
    screen = Screen(["gpu01"])
    screen.proof("gpu01", Proof("a.b", "It works", verdict, reason="because"))
    shown = f"{verdict.value:14} It works: because" in capsys.readouterr().out
    assert shown is (verdict is not ProofVerdict.NOT_APPLICABLE)
