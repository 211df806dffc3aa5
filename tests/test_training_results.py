"""What a training leaves: found on its host, brought home, kept where that fails, and reported."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import gevent
import pytest
from gevent.socket import wait_read

from gpurig.cli.train import _may_be_secret
from gpurig.engine.runner import Link
from gpurig.errors import HostError, InputError
from gpurig.hosts.inventory import HostSpec
from gpurig.report import runs
from gpurig.report.terminal import Terminal
from gpurig.settings.redaction import Redaction
from gpurig.training import output, project, results, run_report
from gpurig.training.guards import Guards
from gpurig.training.home import Home, claimed, refuse_used
from gpurig.training.inspection import Node
from gpurig.training.kept import kept
from gpurig.training.phase import Phase
from gpurig.training.wish import Outcome, Results, Wish
from gpurig.training.workload import Workload, result_of

SENT = {"train.py": "print()", "config.json": "{}"}


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private folder, as a program leaves it: two results, a changed file, and what is none."""
    work = tmp_path / "private" / "work"
    (work / "out/__pycache__").mkdir(parents=True)
    stamps = {}
    for name, text in SENT.items():
        (work / name).write_text(text)
        found = (work / name).stat()
        stamps[name] = [found.st_size, found.st_mtime_ns]
    (work.parent / "sent.json").write_text(json.dumps(stamps))
    (work.parent / "results.py").write_text(Path(results.__file__).read_text())
    (work.parent / "first").touch()
    (work / "config.json").write_text('{"seen": 1}')
    (work / "out/model.bin").write_bytes(bytes(range(256)) * 800)
    (work / "out/__pycache__/x.pyc").write_text("")
    (work / "latest").symlink_to("out")
    (work / "key").symlink_to("/etc/shadow")
    (work.parent / "home").mkdir()
    return work.parent


def _told(private: Path, what: str) -> list[dict[str, Any]]:
    words = [sys.executable, "-I", private / "results.py", what]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def test_results_are_what_a_program_wrote(private: Path) -> None:
    """New and changed files; no link, nothing that was sent, nothing that Python makes again."""
    told = _told(private, "list")
    assert told[0] == {"first": True}
    assert {one["file"] for one in told if "file" in one} == {"config.json", "out/model.bin"}
    read = _told(private, "read")
    pieces = [base64.b64decode(one["data"]) for one in read if "data" in one]
    assert bytes(range(256)) * 800 in b"".join(pieces)


class _Guard:
    """A guard on whose host `results.py` tells this."""

    gone, alive, code = False, True, 0

    def __init__(self, name: str, queue: Any, said: dict[str, list[dict[str, Any]]]) -> None:
        self.name, self.queue, self.said, self.kept = name, queue, said, True

    def run(self, words: list[str], environment: dict[str, str]) -> int:
        for line in self.said[words[-1]]:
            self.queue.append((self, {"run": 1, "out": json.dumps(line)}))
        self.queue.append((self, {"run": 1, "exit": self.code}))
        return 1

    def drop(self) -> None:
        self.kept = False


def _guards(said: dict[str, dict[str, list[dict[str, Any]]]]) -> Guards:
    nodes = [
        Node(Link(HostSpec.of(name, "ssh", name, {})), "/venvs/x", "ann", {"torch": "2.13.0"}, (),
             0, name)
        for name in said
    ]  # fmt: skip
    guards = Guards(nodes)
    queue: list[Any] = []
    hosts: Any = {name: _Guard(name, queue, one) for name, one in said.items()}
    guards.hosts = hosts
    guards.next = lambda: queue.pop(0)  # type: ignore[method-assign]
    return guards


def test_they_come_home_from_where_rank_0_ran(private: Path, tmp_path: Path) -> None:
    """Byte for byte; what other hosts and HOME have is named, since it goes."""
    own = {"list": [{"file": "rank1.log", "size": 3}, {"beside": "home", "files": 9, "size": 9**9}],
           "read": []}  # fmt: skip
    theirs = {what: _told(private, what) for what in ("list", "read")}
    outcome, out = Outcome(), tmp_path / "out"
    Home(_guards({"gpu01": own, "gpu02": theirs}), outcome, out).bring(lambda text: None)
    assert (out / "out/model.bin").read_bytes() == bytes(range(256)) * 800
    assert {file.name for file in out.rglob("*") if file.is_file()} == {
        "config.json", "model.bin", ".gitignore",
    }  # fmt: skip
    assert outcome.folder == str(out)
    assert outcome.fetched
    assert outcome.fetched.host == "gpu02"
    assert [(one.host, one.names) for one in outcome.gone] == [
        ("gpu01", ("rank1.log",)), ("gpu01", ("HOME",)),
    ]  # fmt: skip
    assert not outcome.errors


HOSTILE = {
    "out of the folder": [{"file": "../x", "size": 1}, {"data": "eA=="}, {"done": "../x"}],
    "absolute": [{"file": "/tmp/gpurig-x", "size": 1}, {"data": "eA=="}],
    "another name at the end": [{"file": "x", "size": 1}, {"data": "eA=="}, {"done": "../x"}],
    "no base64": [{"file": "x", "size": 1}, {"data": "§"}, {"done": "x"}],
    "a zero": [{"file": "x\0y", "size": 1}, {"data": "eA=="}, {"done": "x"}],
    "half": [{"file": "x", "size": 1}, {"data": "eA=="}],
}


@pytest.mark.parametrize("read", HOSTILE.values(), ids=HOSTILE)
def test_a_host_writes_nowhere_but_there(read: list[dict[str, Any]], tmp_path: Path) -> None:
    """Whatever it tells; and what did not come stays on the host, which is told."""
    out = tmp_path / "a/out"
    guards = _guards({"gpu01": {"list": [{"file": "x", "size": 1}], "read": read}})
    outcome = Outcome()
    Home(guards, outcome, out).bring(lambda text: None)
    assert not [file for file in tmp_path.rglob("*") if out not in file.parents and file.is_file()]
    assert bool(outcome.errors) == (outcome.fetched is None) == guards.hosts["gpu01"].kept
    if outcome.errors:
        assert f"they stay there, in {guards.folder}/work" in str(outcome.errors[0])


def test_what_cannot_be_listed_stays(private: Path, tmp_path: Path) -> None:
    """On its host, which is named; what another host has comes home all the same."""
    theirs = {what: _told(private, what) for what in ("list", "read")}
    guards = _guards({"gpu01": {"list": []}, "gpu02": theirs})
    guards.hosts["gpu01"].code = 1  # type: ignore[attr-defined]
    outcome = Outcome()
    Home(guards, outcome, tmp_path / "out").bring(lambda text: None)
    assert guards.hosts["gpu01"].kept  # type: ignore[attr-defined]
    assert "the training's results could not be fetched" in str(outcome.errors[0])
    assert (tmp_path / "out/config.json").exists()


def test_a_host_that_is_lost_meanwhile_ends_no_fetching(private: Path, tmp_path: Path) -> None:
    """It is named once, and the results of rank 0's host come home."""
    theirs = {what: _told(private, what) for what in ("list", "read")}
    guards = _guards({"gpu01": theirs})
    lost = [HostError("training-lost", "gone", "gpu02", host="gpu02")]
    heard = guards.next

    def hear() -> Any:
        if lost:
            raise lost.pop()
        return heard()

    guards.next = hear  # type: ignore[method-assign]
    outcome = Outcome()
    Home(guards, outcome, tmp_path / "out").bring(lambda text: None)
    assert [error.host for error in outcome.errors] == ["gpu02"]
    assert (tmp_path / "out/config.json").exists()


def test_a_second_ctrl_c_loses_nothing(private: Path, tmp_path: Path) -> None:
    """The results stay on the host, and the last lines say where."""
    theirs = {what: _told(private, what) for what in ("list", "read")}
    guards, outcome = _guards({"gpu01": theirs}), Outcome()

    def interrupted(text: str) -> None:
        def raises() -> Any:
            raise KeyboardInterrupt

        guards.next = raises  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        Home(guards, outcome, tmp_path / "out").bring(interrupted)
    assert guards.hosts["gpu01"].kept  # type: ignore[attr-defined]
    assert "they stay there" in str(outcome.errors[0])


def test_a_folder_with_files_takes_no_results(tmp_path: Path) -> None:
    """They would mix; nor can one that cannot be made. Both before any host is contacted."""
    refuse_used(tmp_path)
    (tmp_path / "old.pt").touch()
    with pytest.raises(InputError, match="it has files already"):
        refuse_used(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        refuse_used(tmp_path / "old.pt" / "more")


COUNTS = {
    '{"passed": true, "accuracy": 0.9}': {"passed": True, "accuracy": 0.9},
    '{"passed": false, "loss": NaN}': {"passed": False, "loss": None},
    '{"loss": 0.3}': None,
    '{"passed": 17}': None,
    '["passed"]': None,
    "{'loss': 0.3}": None,
    '{"passed": true': None,
}


@pytest.mark.parametrize(("line", "found"), COUNTS.items(), ids=COUNTS)
def test_only_an_object_that_says_whether_it_passed_counts(line: str, found: Any) -> None:
    """A program may log JSON, and any words of its own."""
    assert result_of(line) == found


class _Shown:
    """A screen that notes lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, host: str, text: str, ending: bool = False) -> None:
        self.lines.append(text)

    def stage(self, text: str) -> None:
        """Nothing to note."""


def test_all_other_lines_are_shown_as_they_are() -> None:
    """Also JSON, also another rank's; and of several results the last one counts."""
    screen = _Shown()
    phase = Phase(_guards({}), Wish("torchrun", "x", Workload("a.py", {})), screen)
    said = ['{"loss": 1}', "[rank0]: hello", '{"passed": 17}']
    said += ['{"passed": false}', '{"passed": true, "n": 2}']
    for text in said:
        phase._line("gpu01", {"run": 1, "out": text})
    phase._line("gpu02", {"run": 1, "err": '{"passed": false}'})
    assert screen.lines == [*said, '{"passed": false}'], "results as well"
    assert phase.told == {"passed": True, "n": 2}
    phase = Phase(_guards({}), Wish("horovod", "x", Workload("a.py", {})), screen)
    phase._line("gpu01", {"run": 1, "out": '[1]<stdout>:{"passed": false}'})
    assert phase.told is None
    phase._line("gpu01", {"run": 1, "out": '[0]<stdout>:{"passed": true}'})
    assert phase.told == {"passed": True}


def test_a_program_of_ones_own_need_not_print_a_result() -> None:
    """That every rank ended with 0 is its success; MNIST's line is what it is about."""
    assert Workload("a.py", {}).judged(None, 2, "gpu01") == []
    assert Workload.of("mnist", ()).judged(None, 2, "gpu01")


def test_a_training_leaves_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, verdict, speed, weights, versions; no secret; as a run that can be listed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = runs.new()
    folder.mkdir(parents=True)
    ranks = [{"rank": 0, "host": "gpu01", "weights_sha256": "ab" * 32}]
    told = {"passed": True, "images_per_second": 9, "ranks": ranks, "note": "hush-hush"}
    nodes = _guards({"gpu01": {}}).nodes
    fetched = Results("gpu01", ("a.pt",), 1, 5)
    outcome = Outcome(nodes, told, fetched=fetched, folder="./there", seconds=3)
    wish = Wish("torchrun", "pytorch", Workload("a.py", {}))
    redacted = Redaction(["hush-hush"])
    with kept(folder / runs.LINES, redacted) as lines:
        shown = output.Lines(["gpu01"], lines)
        for text in ("epoch 1 <b>", "token hush-hush", "I0000 00:00:17.1  12 a.cc:3] fused"):
            shown.line("gpu01", text)
    assert shown.folded() == ["  1 line of frameworks about themselves: only in the report"]
    run_report.write(folder, outcome, wish, redacted, lines)
    page = (folder / "report.html").read_text()
    for word in ("epoch 1 &lt;b&gt;", "fused", "trained in", "torch 2.13.0", "ab" * 32, "./there"):
        assert word in page
    told = json.loads((folder / "report.json").read_text())["training"]
    assert told["results"]["fetched"]["names"] == ["a.pt"]
    everything = "".join(file.read_text() for file in folder.iterdir())
    assert "hush-hush" not in everything
    assert runs.found()[0].foreign == []


def test_a_full_disk_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are shown all the same, and the last lines say that the file ends early."""
    opened = os.open
    monkeypatch.setattr("os.open", lambda *_: opened("/dev/full", os.O_WRONLY))
    with kept(Path("/nowhere"), Redaction([])) as lines:
        shown = output.Lines(["gpu01"], lines)
        for text in ("one", "two"):
            shown.line("gpu01", text)
    assert list(lines.last) == ["gpu01 | one", "gpu01 | two"]
    assert shown.folded() == ["  the file of all lines ends early (No space left on device)"]


def test_no_form_of_a_secret_is_in_what_a_training_leaves(tmp_path: Path) -> None:
    """Neither as HTML nor as JSON writes it."""
    secret = """it's <a> & "b" """.strip()
    nodes = _guards({"gpu01": {}}).nodes
    outcome = Outcome(nodes, {"passed": True, "note": secret}, last={"gpu01": [secret]})
    wish = Wish("torchrun", "pytorch", Workload("a.py", {}))
    with kept(tmp_path / "lines", Redaction([secret])) as lines:
        run_report.write(tmp_path, outcome, wish, Redaction([secret]), lines)
    for file in tmp_path.iterdir():
        text = file.read_text()
        assert not any(part in text for part in ("it's", "it&#x27;s", "&lt;a&gt;", "<a> "))


def test_what_is_hidden_leaves_json_that_can_be_read(tmp_path: Path) -> None:
    """Numbers stay, and the names of fields that are nobody's secret."""
    nodes = _guards({"gpu01": {}}).nodes
    outcome = Outcome(nodes, {"passed": True, "steps": 1000000, "note": "border 100000"})
    wish, redacted = Wish("torchrun", "pytorch", Workload("a.py", {})), Redaction(["100000"])
    told = json.loads(output.as_text(outcome, wish, redacted))["training"]
    assert told["result"] == {"passed": True, "steps": 1000000, "note": "border *****"}
    with kept(tmp_path / "lines", redacted) as lines:
        run_report.write(tmp_path, outcome, wish, Redaction(["border"]), lines)
    assert "border-" in (tmp_path / "report.html").read_text(), "its style is as it was"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", "hf_aBc123", True),
        ("DB_PASSWORD", "training", True),
        ("WANDB", "9f86d081884c7d65", True),
        ("MAX_STEPS", "100000", False),
        ("KERAS_BACKEND", "tensorflow", False),
        ("LR", "1e-4", False),
        ("DATA", "/srv/data/2026", False),
        ("DEBUG", "INFO", False),
    ],
)
def test_which_variables_are_hidden(name: str, value: str, secret: bool) -> None:
    """By their names, and as they look: a plain word would blot out the log."""
    assert _may_be_secret(name, value) is secret


def test_a_folder_of_results_belongs_to_one_training(tmp_path: Path) -> None:
    """Two that begin at once, and one whose folder has been filled since."""
    out = tmp_path / "gpurig-train/20260101-000000"
    assert claimed(out) == out
    assert claimed(out) == out.with_name("20260101-000000-2")
    (tmp_path / "mine").mkdir()
    assert claimed(tmp_path / "mine") == tmp_path / "mine", "an empty one is as good as new"
    with pytest.raises(InputError):
        refuse_used(tmp_path / "mine")


def test_results_are_no_part_of_the_next_program(tmp_path: Path) -> None:
    """Wherever they lie in its folder, with git and without."""
    (tmp_path / "train.py").write_text("")
    place = claimed(tmp_path / "sweep/0.1")
    (place / "model.pt").write_bytes(b"x")
    sent = project.project(tmp_path / "train.py", None).files
    assert {name for name in sent if not name.endswith("/")} == {"train.py"}
    assert list(project._walked(tmp_path)) == ["train.py"]


def test_a_screen_that_nobody_reads_holds_up_no_host(tmp_path: Path) -> None:
    """As `less` and Ctrl-S do: what else gpurig does goes on, and all lines come later."""
    out, into = os.pipe()
    beats: list[int] = []
    with (
        kept(tmp_path / "lines", Redaction([])) as lines,
        os.fdopen(into, "w") as writes,
        os.fdopen(out, "rb") as reads,
    ):
        shown = output.Lines(["gpu01"], lines)
        shown.console = Terminal(file=writes, soft_wrap=True)

        def print_much() -> None:
            for number in range(3000):
                shown.line("gpu01", f"{number} {'x' * 60}")
            writes.close()

        printing = gevent.spawn(print_much)
        while len(beats) < 5:
            gevent.sleep(0.05)
            beats.append(len(beats))
        assert not printing.dead, "the pipe is full, and the heart beats"
        told = b""
        while piece := _piece(reads):
            told += piece
        printing.get()
    assert told.count(b"\n") == 3000


def _piece(reads: BinaryIO) -> bytes:
    wait_read(reads.fileno())
    return os.read(reads.fileno(), 65536)


def test_a_failed_comparison_costs_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the training is judged by itself."""
    outcome = Outcome(_guards({"gpu01": {}}).nodes, {"passed": True}, compared="KeyError: 'RANK'")
    said = "\n".join(output.ending(outcome))
    assert "no comparison: one process alone failed (KeyError: 'RANK')" in said
    assert output.exit_code(outcome) == 0


def test_the_sentence_after_ctrl_c_is_the_training_s_own() -> None:
    """That nothing is left, or which host did not say so."""
    outcome = Outcome(_guards({"gpu01": {}}).nodes, interrupted=True)
    assert output.interrupted(outcome) == "interrupted; the training has ended on every host"
    assert output.interrupted(Outcome(interrupted=True)) == "interrupted; nothing was started"
    for code in ("training-left", "training-lost"):
        outcome.errors = [HostError(code, "x", "gpu01", host="gpu01")]
        assert "gpu01 did not confirm" in output.interrupted(outcome)
