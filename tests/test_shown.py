"""What hosts and programs say reaches people and reports as text, and as nothing else."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
import unicodedata
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpurig
from gpurig.contract.fact import Fact
from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.values import Unknown
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.engine.runner import Link
from gpurig.errors import HostError
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.local import LocalTransport
from gpurig.report import run_log, run_report
from gpurig.report.screen import Screen
from gpurig.report.shown import say_lines, shown, shown_json
from gpurig.report.summary import ending
from gpurig.report.terminal import Terminal
from gpurig.settings.redaction import Redaction
from gpurig.settings.table import Settings
from gpurig.training import output as told
from gpurig.training.inspection import Node
from gpurig.training.kept import Kept
from gpurig.training.wish import Outcome
from gpurig.training.workload import Workload

SRC = Path(gpurig.__file__).parent

# What a host may say, and a piece of how it is shown.
HOSTILE = {
    "escape, as in the issue": ("E: \x1b[31mno\x1b[0m", "\\x1b[31mno"),
    "title": ("a\x1b]0;owned\x07b", "\\x1b]0;owned\\x07"),
    "clipboard": ("\x1b]52;c;cm0gLXJmIC8=\x1b\\", "\\x1b]52;c;"),
    "another host's line": ("x\x1b[1A\x1b[2Kgpu02: right", "\\x1b[1A\\x1b[2Kgpu02"),
    "carriage return": ("gpu01: failed\rgpu02: right ", "\\x0dgpu02"),
    "C1 alone": ("\x9b2J\x9d0;t\x9c", "\\x9b2J\\x9d"),
    "backspaces": ("bad\x08\x08\x08good\x7f", "\\x08\\x08\\x08good\\x7f"),
    "NUL": ("a\x00b", "a\\x00b"),
    "bidi override": ("user \u202egnp.exe\u2066 \u061c", "\\u202egnp.exe\\u2066"),
    "hidden tags": ("hi\U000e0069\U000e0067", "\\U000e0069"),
    "zero width": ("gp\u200bu01\ufeff", "gp\\u200bu01"),
    "lone surrogate": ("\ud800 and \udfff", "\\ud800 and \\udfff"),
    "no XML": ("\ufffe\uffff\x0b\x0c", "\\ufffe\\uffff\\x0b\\x0c"),
    "line separator": ("a\u2028gpu02: right\x85b", "\\u2028gpu02: right\\x85"),
}
hostile = pytest.mark.parametrize(("text", "piece"), HOSTILE.values(), ids=HOSTILE)


def _acts(text: str) -> set[str]:
    """What a terminal or a reader would act upon, found independently of `shown`."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in text if unicodedata.category(c) in kinds or c in "\ufffe\uffff"} - set(
        "\n\t"
    )


def _results(text: str) -> list[HostResult]:
    """A host that says this wherever it can, and another one."""
    first, second = HostResult("gpu01", connected=True), HostResult("gpu02", connected=True)
    first.facts = {"architecture": text, "cdi_specs": {text: [text]}}
    first.plan = [Finding("a.b", Verdict.DRIFTED, text, text, text, leaves=text)]
    first.plan += [Finding("a.c", Verdict.UNKNOWN, reason=text)]
    first.final = [Finding("a.b", Verdict.UNKNOWN, reason=text)]
    detail = {text: text, "plots": {text: text}, "device": text, "images_per_second": 1.0}
    first.proofs = [
        Proof("a.b", text, verdict, text, 1.0, detail | {"workload": text})
        for verdict in ProofVerdict
    ]
    first.errors = [HostError("x", text, "gpu01", text)]
    first.notes = [text]
    second.proofs = [Proof("a.b", "It works", ProofVerdict.PASSED)]
    return [first, second]


@hostile
def test_reports_hold_it_as_text(text: str, piece: str, tmp_path: Path) -> None:
    """JSON, JUnit and HTML are well-formed, have no acting character, and keep every host."""
    run_report.write(tmp_path, "up", _results(text), 1)
    (first, second) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert second.get("tests") == "1"
    assert piece in "".join(value for one in first.iter() for value in one.attrib.values())
    frame = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert frame["hosts"]["gpu02"]["proofs"][0]["verdict"] == "passed"
    assert piece in frame["hosts"]["gpu01"]["errors"][0]["what"]
    assert not _acts(json.dumps(frame, ensure_ascii=False))
    html = (tmp_path / "report.html").read_text("utf-8")
    assert piece in html
    assert "It works" in html
    for file in tmp_path.iterdir():
        assert not _acts(file.read_text("utf-8")), file.name


@hostile
@pytest.mark.parametrize("terminal", [False, True])
def test_the_screen_shows_it_as_text(
    text: str, piece: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal and in a pipe; rich's own colours are all that acts there."""
    written = StringIO()
    for module in ("gpurig.report.screen", "gpurig.training.output"):
        monkeypatch.setattr(
            f"{module}.Terminal",
            lambda **_: Terminal(
                file=written, force_terminal=terminal, width=4000, color_system=None
            ),
        )
    text += "\ngpu02: right"
    screen = Screen(["gpu01", "gpu02"], settings={"gpu01": Settings()})
    first, second = _results(text)
    screen.stage("gpu01", text)
    screen.planned(first)
    screen.line("gpu01", text)
    screen.console.print(screen._render())
    for proof in first.proofs:
        screen.proof("gpu01", proof)
    screen.done("gpu01", first.plan[0])
    screen.finished(first)
    screen.finished(second)
    kept = StringIO()
    lines = told.Lines(["gpu01", "gpu02"], Kept(kept, Redaction([])))
    lines.stage(text)
    lines.line("gpu01", text)
    assert piece in written.getvalue()
    assert not _acts(written.getvalue() + kept.getvalue())
    assert len(kept.getvalue().splitlines()) == 1
    own = [line for line in written.getvalue().splitlines() if line.startswith("gpu02: right")]
    assert not own, "it looks like another host's line"


@hostile
def test_what_is_printed_shows_it_as_text(
    text: str, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last lines of a run and of a training; a newline makes no line of its own."""
    forged = f"{text}\ngpu02: right"
    outcome = Outcome(
        told={"passed": True, "accuracy": forged, "data": {"source": f"fallback {forged}"}},
        errors=[HostError("x", forged)],
        last={"gpu01": [forged]},
    )
    say_lines(ending(_results(forged)[0], Settings(), "up") + told.ending(outcome))
    printed = capsys.readouterr().out
    assert piece in printed
    assert not _acts(printed)
    assert "gpu02: right" not in printed.splitlines()


@hostile
def test_the_log_holds_it_as_text(text: str, piece: str) -> None:
    """Whoever logs it: also as a traceback."""
    formatter = run_log._Redacted("%(message)s", [])
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("", 10, "", 0, "%s", (text,), sys.exc_info())
    line = formatter.format(record)
    assert line.count(piece) == 2
    assert not _acts(line)


@given(st.text(st.characters() | st.sampled_from("\x1b\x9b\u202e\ud800\ufffe\n\t\\")))
def test_any_text_is_shown_once(text: str) -> None:
    """Nothing acts, XML and UTF-8 hold it, and what was shown stays as it is."""
    told_as = shown(text)
    assert not _acts(told_as)
    assert shown(told_as) == told_as
    ElementTree.fromstring(f"<a>{told_as.translate({38: None, 60: None, 62: None})}</a>".encode())
    assert json.loads(json.dumps(shown_json({text: [text]}))) == {told_as: [told_as]}


def test_what_people_write_stays() -> None:
    """Other scripts, accents, emoji with their joiners, tabs and line ends are not acting."""
    for text in (
        "Größe\t1 µs\n",
        "שלום",
        "مرحبا",
        "日本語",
        "👩\u200d🔬",
        "क्\u200dष",
        "a\xa0b\\x1b",
    ):
        assert shown(text) == text


def test_our_own_readers_get_it_as_it_came() -> None:
    """The edge is the way out: what facts read and merge is exact to the character."""
    _, output = LocalTransport().run("printf 'a\\033[31m\\r\\302\\233\\342\\200\\256'")
    assert output.stdout == "a\x1b[31m\r\x9b\u202e"


class _Json(Fact[Any]):
    def command(self) -> str:
        return ""

    def parse(self, lines: list[str], code: int) -> Any:
        return json.loads(lines[0])["Runtimes"].get("x")


@pytest.mark.parametrize("line", ["[" * 100_000, "[]", "1", '{"Runtimes": []}', "null", "{"])
def test_a_fact_that_says_something_else_is_unknown(line: str) -> None:
    """Whatever a host answers, its fact has a value and the run goes on."""
    assert isinstance(_Json().process([line, "gpurig-exit:0"]), Unknown)


def _node() -> Node:
    link = Link(HostSpec.of("gpu01", "ssh", "gpu01", {}))
    return Node(link, "/venvs/x", "ann", {}, (), 0, "")


STRANGE: dict[str, dict[str, Any]] = {
    "text for numbers": {"images_per_second": "fast", "accuracy": "good", "world_size": "2"},
    "ranks of numbers": {"ranks": [1, None], "passed": True},
    "ranks without weights": {"ranks": [{"rank": 0}], "passed": True},
    "weights that are lists": {"ranks": [{"rank": 0, "host": "a", "weights_sha256": []}]},
    "no number": {"accuracy": float("nan"), "images_per_second": float("inf"), "data": 7},
    "a number without end": {"images_per_second": 10**400, "accuracy": 10**400, "threshold": "x"},
    "plots that are none": {"plots": [1], "images_per_second": 1,
                            "gpus": [{"memory_used_bytes": 9**999}]},
}  # fmt: skip


@pytest.mark.parametrize("said", STRANGE.values(), ids=STRANGE)
def test_what_a_program_makes_up_costs_no_report(said: dict[str, Any], tmp_path: Path) -> None:
    """Neither the training's last lines nor the report of all hosts; and JSON stays JSON."""
    outcome = Outcome([_node()], told=said, alone=said)
    outcome.errors = Workload("a.py", {}).judged(said, 1, "gpu01")
    assert all(isinstance(line, str) for line in told.ending(outcome))
    first, second = _results("x")
    first.proofs = [Proof("a.b", "Mine", ProofVerdict.PASSED, detail=said)]
    run_report.write(tmp_path, "up", [first, second], 1)
    text = (tmp_path / "report.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert "It works" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_saved_facts_of_a_hostile_host_are_shown(
    encoding: str, options: list[str], tmp_path: Path
) -> None:
    """The whole program, in any locale: no traceback, no acting character."""
    facts = {
        "os": {
            "id": "x",
            "version": "1",
            "codename": "",
            "like": [],
            "name": "a\x1b]0;t\x07\ud800\u202e…",
        }
    }
    saved = tmp_path / "facts.json"
    saved.write_text(json.dumps({"hosts": {"gpu\x1b[31m01": {"facts": facts}}}))
    done = subprocess.run(
        [sys.executable, "-m", "gpurig.cli.main", "resolve", "--facts", saved, *options],
        capture_output=True, check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    printed = (done.stdout + done.stderr).decode(encoding)
    assert "Traceback" not in printed
    assert "\\x1b[31m01" in printed
    assert not _acts(printed)


def test_a_traceback_is_shown_as_text() -> None:
    """Whatever a bug of ours says of what a host said."""
    script = (
        "from gpurig.report.shown import prepare_output as p; p(); raise ValueError('\x1b]0;t\x07')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "ValueError: \\x1b]0;t\\x07"


# What talks to a program of our own over a pipe, and what runs on the hosts.
_PIPES = {
    "settings/reference.py",
    "training/agent.py",
    "training/relay.py",
    "training/results.py",
}


def test_nothing_is_printed_past_the_edge() -> None:
    """Whoever adds a print, an echo, a console of rich's or an HTML escape meets this test."""
    past = []
    files = {str(file.relative_to(SRC)): file for file in SRC.rglob("*.py")}
    for name in sorted(files.keys() - {"report/shown.py"} - _PIPES):
        file = files[name]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "click.echo", "click.secho", "Console", "sys.stdout.write",
                              "sys.stderr.write", "html.escape"):  # fmt: skip
                    past.append(f"{name}:{node.lineno}: {called}")
    assert not past
