"""junit.xml, for CI systems that read nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report.junit import suites
from gpurig.report.shown import shown
from reports import HOSTILE, SCENES, hostile, right


def test_the_file_is_well_formed() -> None:
    """Whatever a host says is a value; the counts are those of the cases."""
    (suite,) = ElementTree.fromstring(suites(hostile()))
    assert suite.get("name") == shown(HOSTILE)
    kinds = [[child.tag for child in case] for case in suite]
    assert suite.get("tests") == str(len(kinds))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(name) == str(kinds.count([kind]))


def test_a_suite_names_the_machine() -> None:
    """The inventory's name, and the machine's own."""
    (suite,) = ElementTree.fromstring(suites(right()))
    assert (suite.get("name"), suite.get("hostname")) == ("@local", "ws-042")


@pytest.mark.parametrize("name", SCENES)
def test_a_suite_is_not_green_where_the_run_is_not(name: str) -> None:
    """A host that failed, was refused or not reached has a failure or an error in its suite."""
    command, make = SCENES[name]
    results = make()
    for suite, result in zip(ElementTree.fromstring(suites(results)), results, strict=True):
        bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        assert bool(bad) is (result.exit_code(command) == 1)


def test_each_verdict_counts_as_ci_does() -> None:
    """Unknown is an error and never passes; what was not shown is skipped, with its reason."""
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof(f"a.{v.value}", v.value, v, "because") for v in ProofVerdict]
    (suite,) = ElementTree.fromstring(suites([result]))
    counts = {name: int(suite.get(name, "-1")) for name in ("failures", "errors", "skipped")}
    assert counts == {"failures": 1, "errors": 1, "skipped": 3}
    assert suite.get("tests") == str(len(ProofVerdict))
    skipped = {case.get("name"): case.find("skipped") for case in suite}
    told = {name: one.get("message") for name, one in skipped.items() if one is not None}
    assert told["due"] == "due: because"
