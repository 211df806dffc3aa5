"""Proofs as JUnit XML, for CI systems that read nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.report.shown import shown


def suites(results: list[HostResult]) -> str:
    """
    One suite a host, one case a proof.

    JUnit knows only passed, failed, error and skipped: ``unknown`` is an error, whatever was not
    shown is skipped with its verdict and reason.
    """
    root = ElementTree.Element("testsuites", name="gpurig")
    for result in results:
        suite = ElementTree.SubElement(root, "testsuite", name=result.name)
        for error in result.errors:
            case = ElementTree.SubElement(suite, "testcase", name=error.code, classname=result.name)
            ElementTree.SubElement(case, "error", message=str(error))
        for proof in result.proofs:
            case = ElementTree.SubElement(
                suite, "testcase", name=proof.title, classname=proof.id, time=f"{proof.seconds:.2f}"
            )
            said = f"{proof.verdict.value}: {proof.reason}"
            if proof.verdict is ProofVerdict.FAILED:
                ElementTree.SubElement(case, "failure", message=proof.reason)
            elif proof.verdict is ProofVerdict.UNKNOWN:
                ElementTree.SubElement(case, "error", message=proof.reason)
            elif proof.verdict is not ProofVerdict.PASSED:
                ElementTree.SubElement(case, "skipped", message=said)
        cases = list(suite)
        suite.set("tests", str(len(cases)))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(sum(case.find(kind) is not None for case in cases)))
    for element in root.iter():  # one character that XML cannot hold costs all hosts their report
        element.attrib = {name: shown(value) for name, value in element.attrib.items()}
    ElementTree.indent(root)
    # Not xml_declaration=True, which declares the locale's encoding; the file is UTF-8.
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
