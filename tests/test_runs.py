"""`gpurig runs`: what runs left, and what of it can go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpurig import store
from gpurig.cli.runs import clean
from gpurig.errors import InputError
from gpurig.report import runs

GPURIG = [sys.executable, "-m", "gpurig.cli.main"]
FRAME = {"command": "up", "hosts": {"gpu01": {}}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, with three runs: the first by an older gpurig."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for day, about in (
        (1, {"report.json": FRAME}),
        (2, {"run.json": {"command": "plan", "hosts": ["gpu01", "gpu02"], "code": 3}}),
        (3, {"run.json": {"command": "facts", "hosts": ["gpu01"], "code": None}}),
    ):
        folder = runs.place() / f"2026010{day}-120000-000000"
        for name, content in {"log": "", "report.html": "", **about}.items():
            store.write(folder / name, json.dumps(content))
    store.link(runs.place() / "latest", folder.name)
    return runs.place()


def _gpurig(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GPURIG, *words], capture_output=True, text=True, check=False)


def test_they_are_listed_with_how_each_ended(place: Path) -> None:
    """When, what, how, where; the newest last."""
    done = _gpurig("runs")
    assert done.returncode == 0
    first, second, third, last = done.stdout.splitlines()
    assert first == "20260101-120000-000000  2026-01-01 12:00  up       unknown  gpu01"
    assert second.endswith("plan     something to do  gpu01, gpu02")
    assert third.endswith("facts    ended early  gpu01")
    assert last.startswith("3 runs, ")
    assert last.endswith(str(place))


def test_the_json_has_all_of_them(place: Path) -> None:
    """With the frame that all verbs have."""
    frame = json.loads(_gpurig("runs", "--json").stdout)
    assert (frame["command"], frame["hosts"]) == ("runs", {})
    assert [one["code"] for one in frame["runs"]] == [None, 3, None]
    assert {one["running"] for one in frame["runs"]} == {False}


def test_no_run_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made to look for them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "none"))
    assert _gpurig("runs").stdout.startswith("0 runs, 0 B")
    done = _gpurig("runs", "show")
    assert (done.returncode, done.stdout) == (2, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", [None, "latest", "20260103", "20260103-120000-000000"])
def test_a_run_is_named_by_how_it_begins(place: Path, word: str | None) -> None:
    """Without a name it is the newest."""
    assert runs.named(word).name == "20260103-120000-000000"


@pytest.mark.parametrize(
    ("word", "said"), [("2026", "3 runs begin with"), ("x", "no run 'x'"), ("", "no run ''")]
)
def test_a_name_that_fits_none_or_several_is_one_sentence(
    place: Path, word: str, said: str
) -> None:
    """Nothing is guessed."""
    with pytest.raises(InputError, match=f"{said}.*gpurig runs lists them"):
        runs.named(word)


def test_a_run_is_shown_with_its_files(place: Path) -> None:
    """Those that are there."""
    (place / "20260102-120000-000000/report.html").unlink()
    told = _gpurig("runs", "show", "20260102").stdout.splitlines()
    assert told[1:] == [f"log: {place}/20260102-120000-000000/log"]
    assert _gpurig("runs", "show").stdout.splitlines()[1] == (
        f"report: {place}/20260103-120000-000000/report.html"
    )
    opened = _gpurig("runs", "show", "20260102", "--open")
    assert (opened.returncode, opened.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--keep", "1"], ["20260103"]),
        (["--keep", "2"], ["20260102", "20260103"]),
        (["--keep", "9"], ["20260101", "20260102", "20260103"]),
        (["--older-than", "36500"], ["20260101", "20260102", "20260103"]),
        (["--older-than", "1"], ["20260103"]),
        (["--older-than", "1", "--keep", "2", "-y"], ["20260102", "20260103"]),
    ],
)
def test_old_runs_are_deleted_and_latest_stays_right(
    place: Path, words: list[str], left: list[str]
) -> None:
    """The newest stays, whatever its age, and what goes is shown."""
    done = _gpurig("runs", "clean", *words)
    gone = {"20260101", "20260102", "20260103"} - set(left)
    assert done.returncode == 0
    assert sorted(run.name[:8] for run in runs.found()) == left
    assert all(name in done.stdout for name in gone)
    assert (place / "latest").resolve().name == "20260103-120000-000000"


def test_nothing_but_runs_is_deleted(place: Path, tmp_path: Path) -> None:
    """Not other files and folders, what a link leads to, nor a run with something of the user's."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "log").touch()
    (place / "20250101-120000-000000").symlink_to(elsewhere)
    (place / "notes").mkdir()
    (place / "notes/log").touch()
    (place / "20250102-120000-000000").touch()
    (place / "20260101-120000-000000/mine.txt").touch()
    assert clean(keep=1, days=None, yes=True) == 0
    assert (elsewhere / "log").exists()
    assert (place / "notes/log").exists()
    assert (place / "20250102-120000-000000").exists()
    assert (place / "20260101-120000-000000/log").exists()
    assert not (place / "20260102-120000-000000").exists()


def test_a_run_that_goes_on_is_called_so_and_stays(place: Path) -> None:
    """Until its process ends, however it ends."""
    script = (
        "from gpurig.report import runs; import sys, pathlib\n"
        f"runs.began(pathlib.Path({str(place / '20260101-120000-000000')!r}), 'train', ['gpu09'])\n"
        "print('begun', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout
    assert child.stdin
    child.stdout.readline()
    first, *_ = runs.found()
    assert (first.verdict, first.running) == ("running", True)
    assert first not in runs.outdated(keep=1, days=None)
    child.kill()
    child.wait()
    child.stdout.close()
    child.stdin.close()
    first, *_ = runs.found()
    assert (first.verdict, first.hosts) == ("ended early", ("gpu09",))


def test_clean_wants_to_be_told_what_can_go(place: Path) -> None:
    """One sentence, exit code 2, nothing deleted."""
    done = _gpurig("runs", "clean")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gpurig: runs clean: nothing says which runs can go; use --keep N or --older-than DAYS\n"
    )
    assert len(runs.found()) == 3


def test_a_run_says_what_it_was_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole program: a host that does not resolve, an exit code of 2."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = _gpurig("facts", "no-such-host.invalid")
    assert done.returncode == 2
    (run,) = runs.found()
    assert (run.command, run.hosts, run.code) == ("facts", ("no-such-host.invalid",), 2)
    assert run.verdict == "nothing could be done"
    assert not os.access(run.folder / "report.html", os.F_OK)


def test_a_run_that_goes_on_beside_the_list_is_no_traceback(place: Path) -> None:
    """Its files come and go while their sizes are added up; a folder that is gone has none."""
    (run, *_) = runs.found()
    loose = run.folder / ".report.json.x"
    loose.symlink_to("nowhere")
    assert run.size > 0
    for file in run.folder.iterdir():
        file.unlink()
    run.folder.rmdir()
    assert run.size == 0
    assert run.foreign == [run.name]


@pytest.mark.parametrize("words", [("runs", "--json", "show"), ("tables", "--json", "refresh")])
def test_an_option_before_the_command_it_is_for_is_one_sentence(words: tuple[str, ...]) -> None:
    """It would count for nothing."""
    done = _gpurig(*words)
    assert done.returncode == 2
    assert "an option comes before the command that it is for" in done.stderr
