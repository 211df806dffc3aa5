"""The page that people open."""

from __future__ import annotations

import json
import stat
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gpurig.contract.promise import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.errors import GpurigError, HostError
from gpurig.report import run_report
from gpurig.report.html import page
from gpurig.report.junit import suites
from gpurig.stack.model import Stack

PIXEL = "iVBORw0KGgo="
HOSTILE = "<script>alert('x')</script><img src=http://e.example.org onerror='x'>&amp;\""


def _result() -> HostResult:
    result = HostResult(HOSTILE, answer=Stack("debian 13", "x86_64"), connected=True)
    result.facts = {"architecture": HOSTILE}
    result.plan = [Finding("a.b", Verdict.DRIFTED, HOSTILE, "right", HOSTILE)]
    result.final = [Finding("a.b", Verdict.HOLDS, reason=HOSTILE)]
    detail = {"accuracy": 0.98, "plots": {"curve.png": PIXEL}}
    result.proofs = [Proof("a.b", HOSTILE, ProofVerdict.FAILED, HOSTILE, 1.0, detail)]
    result.errors = [HostError("x", HOSTILE)]
    return result


class _Page(HTMLParser):
    """What a browser would make of a page: its elements, what they load, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """Self-contained: pictures are in it, and links stay on the page."""
    html = _Page(page("up", [_result()], 1))
    assert not html.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    loaded = [value for name, value in html.attributes if name in ("src", "href", "srcset")]
    assert f"data:image/png;base64,{PIXEL}" in loaded
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in loaded)
    assert not [name for name, _ in html.attributes if name.startswith("on")]
    assert "@import" not in "".join(html.text)
    assert "url(" not in "".join(html.text)


def test_whatever_a_host_says_is_text() -> None:
    """Names, reasons, facts, errors and titles are shown as they are; links find their heading."""
    html = _Page(page("up", [_result()], 1))
    assert sum(HOSTILE in text for text in html.text) >= 6
    assert ("id", HOSTILE) in html.attributes
    assert ("href", f"#{HOSTILE}") in html.attributes


def test_all_three_are_written_for_their_reader_only(tmp_path: Path) -> None:
    """The page's path comes back; none of them is readable by others, and the JSON is JSON."""
    assert run_report.write(tmp_path, "up", [_result()], 1) == tmp_path / "report.html"
    assert {f.name for f in tmp_path.iterdir()} == {"report.html", "report.json", "junit.xml"}
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["schema"], told["command"], list(told["hosts"])) == (1, "up", [HOSTILE])
    ElementTree.parse(tmp_path / "junit.xml")


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """A report that could not be written is said, not lost."""
    (tmp_path / "gone").touch()
    with pytest.raises(GpurigError, match="cannot be written"):
        run_report.write(tmp_path / "gone", "up", [_result()], 1)


def test_junit_is_well_formed() -> None:
    """Names are escaped and the counts are those of the cases."""
    (suite,) = ElementTree.fromstring(suites([_result()]))
    assert suite.get("name") == HOSTILE
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")


def test_junit_counts_each_verdict_as_ci_does() -> None:
    """Unknown is an error and never passes; what was not shown is skipped, with its reason."""
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof(f"a.{v.value}", v.value, v, "because") for v in ProofVerdict]
    (suite,) = ElementTree.fromstring(suites([result]))
    counts = {name: int(suite.get(name, "-1")) for name in ("failures", "errors", "skipped")}
    assert counts == {"failures": 1, "errors": 1, "skipped": 3}
    assert suite.get("tests") == str(len(ProofVerdict))
    skipped = {case.get("name"): case.find("skipped") for case in suite}
    shown = {name: one.get("message") for name, one in skipped.items() if one is not None}
    assert shown["due"] == "due: because"


TRAINED = {
    "workload": "mnist_keras",
    "accuracy": 0.9778,
    "threshold": 0.97,
    "images_per_second": 10512.4,
    "device": HOSTILE,
    "seconds": {"train": 5.7, "to_threshold": 3.14},
    "data": {"source": "tensorflow_datasets"},
    "gpus": [{"name": "NVIDIA H100", "utilization_percent": 63.2, "memory_used_bytes": 1.9e9}],
}


def test_what_was_trained_is_a_table_of_its_own() -> None:
    """Accuracy, time to the threshold, speed, and each GPU's use and memory by NVML."""
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof("workloads.mnist.jax", "It learns", ProofVerdict.PASSED, detail=TRAINED)]
    text = _Page(page("up", [result], 0)).text
    for cell in ("0.9778", "0.97 after 3.1 s", "5.7 s", "10,512 images/s", HOSTILE,
                 "mnist_keras (tensorflow_datasets)", "NVIDIA H100 63 %, 1.9 GB"):  # fmt: skip
        assert cell in text, cell


def test_what_a_program_of_the_users_made_up_breaks_no_report() -> None:
    """It may print anything under the names of ours."""
    strange = {"images_per_second": "fast", "seconds": 3, "gpus": [1, {}], "accuracy": True,
               "data": "mine"}  # fmt: skip
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof("workloads.own.jax:a.py", "Mine", ProofVerdict.PASSED, detail=strange)]
    assert "Training" in _Page(page("up", [result], 0)).text
