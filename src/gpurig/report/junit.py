"""Proofs as JUnit XML, for CI systems that read nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from gpurig.contract.finding import Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report.machine import own_name
from gpurig.report.shown import shown

Case = ElementTree.Element


def suites(results: list[HostResult]) -> str:
    """
    One suite a host, one case a proof, and one for whatever else makes the host not right.

    JUnit knows only passed, failed, error and skipped: ``unknown`` is an error, whatever was not
    shown is skipped with its verdict and reason. A suite's ``name`` is the inventory's, its
    ``hostname`` what the machine calls itself.
    """
    root = ElementTree.Element("testsuites", name="gpurig")
    for result in results:
        hostname = own_name(result) or result.name
        suite = ElementTree.SubElement(root, "testsuite", name=result.name, hostname=hostname)
        suite.extend(_troubles(result))
        suite.extend(map(_proof, result.proofs))
        suite.set("tests", str(len(suite)))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(sum(case.find(kind) is not None for case in suite)))
    for element in root.iter():  # one character that XML cannot hold costs all hosts their report
        element.attrib = {name: shown(value) for name, value in element.attrib.items()}
    ElementTree.indent(root)
    # Not xml_declaration=True, which declares the locale's encoding; the file is UTF-8.
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _troubles(result: HostResult) -> Iterator[Case]:
    """A case for each error, refusal and unknown promise, and for what is not proven."""
    for error in result.errors:
        yield _case(result.name, error.code, "error", str(error))
    if result.refused:
        yield _case(result.name, "refused", "error", str(result.answer))
    for finding in result.now:
        if finding.verdict is Verdict.UNKNOWN:
            yield _case(result.name, finding.id, "error", finding.reason)
    if result.standing and result.standing.missing:
        yield _case(result.name, "proven", "skipped", f"not proven: {result.standing.missing}")
    ran = any(proof.verdict in _KINDS for proof in result.proofs)
    for sentence in result.standing.failed if result.standing and not ran else ():
        yield _case(result.name, "proven", "failure", sentence)


_KINDS = {ProofVerdict.FAILED: "failure", ProofVerdict.UNKNOWN: "error"}


def _proof(proof: Proof) -> Case:
    kind, message = _KINDS.get(proof.verdict, "skipped"), proof.reason
    if proof.verdict is ProofVerdict.PASSED:
        kind = ""
    elif kind == "skipped":
        message = f"{proof.verdict.value}: {proof.reason}"
    case = _case(proof.id, proof.title, kind, message)
    case.set("time", f"{proof.seconds:.2f}")
    return case


def _case(classname: str, name: str, kind: str, message: str) -> Case:
    case = ElementTree.Element("testcase", name=name, classname=classname)
    if kind:
        ElementTree.SubElement(case, kind, message=message)
    return case
