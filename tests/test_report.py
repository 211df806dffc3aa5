"""The page that people open."""

from __future__ import annotations

import ast
import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict, Standing, exit_code
from gpurig.errors import GpurigError, HostError
from gpurig.report import run_report, verdict
from gpurig.report.html import page
from gpurig.report.tasks import tasks
from gpurig.report.units import duration, share, size
from gpurig.report.verdict import headline
from gpurig.stack.model import Stack
from report_parts import H100
from reports import SCENES, right

PAGE = Path(__file__).parents[1] / "docs/reference/report.md"
PIXEL = "iVBORw0KGgo="
LOG = "/home/ada/.local/state/gpurig/runs/20261129-212337-352965/log"
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
    """What a browser makes of a page: its elements, what they load, its text, open or folded."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.folded: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br", "wbr"):
            self.open.append(tag)
        self._apart(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes something else"
        self._apart(tag)

    def _apart(self, tag: str) -> None:
        """What stands in elements of its own is no one word with what stands beside it."""
        if tag not in ("span", "code", "wbr"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if "details" in self.open and "summary" not in self.open:
            self.folded.append(data)
        else:
            self.text.append(data)
        if {"h1", "h2"} & set(self.open):
            self.headings.append(data)

    def has(self, *texts: str) -> bool:
        """Whether each of them stands where it is read without opening anything."""
        shown = " ".join("".join(self.text).split())
        return all(text in shown for text in texts)


def _scene(name: str) -> _Page:
    command, make = SCENES[name]
    results = make()
    return _Page(page(command, results, exit_code(command, results), LOG))


@pytest.mark.parametrize("name", SCENES)
def test_the_page_loads_nothing_and_runs_nothing(name: str) -> None:
    """Self-contained and well-formed: pictures are in it, and links stay on the page."""
    html = _scene(name)
    assert not html.open, "elements that do not end"
    assert not html.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    loaded = [value for name, value in html.attributes if name in ("src", "href", "srcset")]
    anchors = {f"#{value}" for name, value in html.attributes if name == "id"}
    assert all(one in anchors or one.startswith("data:image/png;base64,") for one in loaded)
    assert not [name for name, _ in html.attributes if name.startswith("on")]
    assert "@import" not in "".join(html.text)
    assert "url(" not in "".join(html.text)


def test_pictures_are_in_the_page_and_nothing_else_is_taken_for_one() -> None:
    """A program may put anything where its pictures belong."""
    (result,) = right()
    detail = {"plots": {"curve.png": PIXEL, "odd": "javascript:alert(1)", "none": 3}}
    result.proofs = [Proof("workloads.own.a", "Mine", ProofVerdict.PASSED, detail=detail)]
    sources = [value for name, value in _Page(page("up", [result], 0)).attributes if name == "src"]
    assert sources == [f"data:image/png;base64,{PIXEL}"]


def test_whatever_a_host_says_is_text() -> None:
    """Names, reasons, facts, errors and titles are shown as they are."""
    html = _Page(page("up", [_result()], 1))
    assert "".join(html.text).count(HOSTILE) >= 6


HEADLINES = {
    "right": ("good", "Ready"),
    "eight-gpus": ("good", "Ready"),
    "passed-before": ("good", "Ready"),
    "failed": ("bad", "Failed"),
    "failed-and-read": ("bad", "Failed"),
    "unproven": ("bad", "Does not work"),
    "failed-before": ("bad", "Does not work"),
    "never-proven": ("attention", "Not proven"),
    "assumed": ("plain", "Set up"),
    "due": ("attention", "Needs you"),
    "refused": ("bad", "Refused"),
    "lost": ("bad", "Not reached"),
    "planned": ("attention", "To do"),
    "hostile": ("bad", "Failed"),
}


@pytest.mark.parametrize("name", HEADLINES)
def test_a_verdict_is_a_few_words(name: str) -> None:
    """One for each way in which a run can end; they stand on the page and in its title."""
    command, make = SCENES[name]
    (result,) = make()
    line = headline(result, command)
    assert (line.tone, line.title) == HEADLINES[name]
    assert _scene(name).has(line.title, line.sentence.replace("`", ""))


def test_every_verdict_is_on_the_page_of_the_report() -> None:
    """docs/reference/report.md has each title with what it means, and no other."""
    calls = [node for node in ast.walk(ast.parse(Path(verdict.__file__).read_text()))
             if isinstance(node, ast.Call) and ast.unparse(node.func) == "Headline"]  # fmt: skip
    titles = {ast.literal_eval(call.args[1]) for call in calls}
    table = PAGE.read_text().partition("| verdict |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| ([A-Z][a-z ]+) \|", table, re.MULTILINE)) == titles
    assert {title for _, title in HEADLINES.values()} <= titles


@given(
    command=st.sampled_from(["up", "plan", "verify"]),
    verdicts=st.lists(st.sampled_from(Verdict), max_size=2),
    proofs=st.lists(st.sampled_from(ProofVerdict), max_size=3),
    standing=st.sampled_from([None, Standing(), Standing(("x",)), Standing(missing="x")]),
    error=st.booleans(),
)
def test_green_is_what_is_right(
    command: str,
    verdicts: list[Verdict],
    proofs: list[ProofVerdict],
    standing: Standing | None,
    error: bool,
) -> None:
    """No run with an exit code but 0 is green, and of no run is more claimed than is known."""
    result = HostResult("h", answer=Stack("debian:13", "x86_64"), connected=True)
    result.standing = standing
    result.plan = [Finding(f"a.{n}", verdict, reason="x") for n, verdict in enumerate(verdicts)]
    result.proofs = [Proof("workloads.mnist.x", "x", verdict, "x") for verdict in proofs]
    result.errors = [HostError("x", "broken")] if error else []
    code = result.exit_code(command)
    tone = headline(result, command).tone
    assert code == 0 or tone != "good"
    assert tone == "bad" or code != 1 or command == "up"  # up that was answered with no
    if tone == "good" and command != "plan":
        assert ProofVerdict.PASSED in proofs


def test_the_head_names_the_machine_and_its_software() -> None:
    """The machine's own name, never @local; what it is, and what is set up in which version."""
    html = _scene("right")
    assert "".join(html.headings) == "ws-042"
    assert "@local" not in "".join(html.text)
    assert html.has("AMD EPYC 9654 96-Core Processor, 192 logical CPUs", "1510.6 GiB",
                    "Debian GNU/Linux 13, x86_64", "26.1.5", "2.21.0", "97.53 %",
                    "6,005 images/s", "8 min 13 s")  # fmt: skip


def test_eight_gpus_are_one_line() -> None:
    """By the name that the driver gives them; CUDA and cuDNN in the versions that are installed."""
    html = _scene("eight-gpus")
    assert html.has(f"8 \N{MULTIPLICATION SIGN} {H100}", "550.163.01", "12.9.79", "9.28.0.42",
                    "1.20.0", "3.15.1, on PyTorch 2.13.0", "64 %, 1.9 GB")  # fmt: skip


def test_what_is_only_chosen_is_not_called_installed() -> None:
    """A plan shows the versions to come, each with the remark that it is not there."""
    html = _scene("planned")
    assert html.has("branch 550", "2.21.0, Python 3.13, for CUDA not installed")
    assert not html.has("not read again")


def test_what_was_not_read_again_is_not_told_as_now() -> None:
    """After a failure the plan is what was before; what was read later is what is now."""
    html = _scene("failed")
    assert html.has("not read again", "was not read again after the failure", LOG)
    assert html.has("2.21.0, Python 3.13, for CPU not read again")
    assert not html.has("not done")
    read = _scene("failed-and-read")
    assert read.has("2 changes made", "not done", LOG)
    assert not read.has("not read again")


@pytest.mark.parametrize("name", SCENES)
def test_whatever_is_left_says_what_to_do(name: str) -> None:
    """Of each error, failed or unknown proof, refusal and change to make there is a way on."""
    command, make = SCENES[name]
    for result in make():
        found = tasks(result, command)
        assert all(task.do for task in found if task.kind != "due"), found
        assert bool(found) is (result.exit_code(command) != 0)


def test_what_does_not_apply_is_folded() -> None:
    """With its reasons; what passed is read without opening anything."""
    html = _scene("right")
    assert html.has("3 proofs do not apply to this machine", "A container starts and answers")
    assert not html.has("A program finds CUDA's runtime")
    assert "A program finds CUDA's runtime" in html.folded


def test_several_hosts_have_a_row_each() -> None:
    """Name, verdict, GPUs, driver, frameworks, accuracy, speed, what is left; it leads below."""
    html = _scene("twelve")
    assert html.headings[0] == "12 machines"
    links = [value for name, value in html.attributes if name == "href"]
    assert links == [f"#host-{number}" for number in range(1, 13)] + ["#all"] * 12
    assert html.has("1 failed, 1 refused, 1 not reached, 1 does not work, 1 needs you, 7 ready",
                    "at least 98.89 %", "up to 88,512 images/s", "no answer on port 22",
                    "ada must log in again to get the group docker")  # fmt: skip


def test_other_data_than_mnist_are_a_remark() -> None:
    """The training passed, and the page says what it learnt from and how to have MNIST."""
    (result,) = right()
    detail = result.proofs[-1].detail
    detail["data"] = {"source": "fallback: UCI digits"}
    html = _Page(page("up", [result], 0))
    assert html.has("accuracy on the test images of UCI digits", "rig_data_mirror names where")
    assert not html.has("fallback")


def test_numbers_are_in_units_of_people() -> None:
    """Seconds, bytes and shares as they are said."""
    assert [duration(s) for s in (0, 0.44, 9.96, 59.6, 493.2, 3599.7, 7530)] == [
        "< 0.1 s", "0.4 s", "10 s", "1 min 0 s", "8 min 13 s", "1 h 0 min", "2 h 5 min"
    ]  # fmt: skip
    assert [share(part) for part in (0.9753, 0.97, 1.0, 0.5)] == [
        "97.53 %",
        "97 %",
        "100 %",
        "50 %",
    ]
    assert [size(n) for n in (999, 6.02e9)] == ["999 B", "6.0 GB"]


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


def test_what_was_trained_is_told_first() -> None:
    """Accuracy, time to the threshold, speed, and each GPU's use and memory by NVML."""
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof("workloads.mnist.jax", "It learns", ProofVerdict.PASSED, detail=TRAINED)]
    html = _Page(page("up", [result], 0))
    assert html.has("97.78 %", "3.1 s to reach 97 %", "10,512 images/s", "images of MNIST",
                    "NVIDIA H100 63 %, 1.9 GB")  # fmt: skip
    result.proofs *= 2
    html = _Page(page("up", [result], 0))
    assert html.has("97.78 %", "97 % after 3.1 s", "10,512 images/s", "NVIDIA H100 63 %, 1.9 GB")


def test_what_a_program_of_the_users_made_up_breaks_no_report() -> None:
    """It may print anything under the names of ours."""
    strange = {"images_per_second": "fast", "seconds": 3, "gpus": [1, {}], "accuracy": True,
               "data": "mine"}  # fmt: skip
    result = HostResult("gpu01", connected=True)
    result.proofs = [Proof("workloads.own.jax:a.py", "Mine", ProofVerdict.PASSED, detail=strange)]
    assert "Training" in _Page(page("up", [result], 0)).text
