"""What the command line does where its output cannot be written, and how its errors look."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gpurig.cli.main import gpurig

# Verbs that need no host, and print their result; each with its words.
LISTS = {
    "--help": "--help",
    "--version": "--version",
    "help of a verb": "up --help",
    "tables": "tables",
    "resolve": "resolve --os debian:13",
}
JSON = {"tables": "tables --json", "resolve": "resolve --os debian:13 --json"}
ALL = LISTS | {f"{name} as JSON": words for name, words in JSON.items()}
every = pytest.mark.parametrize("words", ALL.values(), ids=ALL)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)


def _shell(words: str, rest: str = "") -> subprocess.CompletedProcess[str]:
    """The command line as a shell starts it, with redirections behind."""
    line = f"{shlex.quote(sys.executable)} -m gpurig.cli.main {words} {rest}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


@every
def test_a_full_disk_is_one_sentence_and_not_success(words: str) -> None:
    """The result that a program waits for did not arrive."""
    done = _shell(words, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "gpurig: the output could not be written (No space left on device)\n"


@every
def test_a_closed_standard_output_is_one_sentence_and_not_success(words: str) -> None:
    """As some daemons start programs."""
    done = _shell(words, ">&-")
    assert done.returncode == 1
    told = "gpurig: the output could not be written (standard output is closed)\n"
    assert done.stderr == told


@every
def test_a_reader_that_left_is_told_nothing(words: str) -> None:
    """`| head -1` ends without a word, and without success."""
    done = _shell(words, "| (exec <&-); exit ${PIPESTATUS[0]}")
    assert done.returncode == 1
    assert done.stderr == ""


@every
@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>/dev/full"])
def test_what_is_not_the_result_costs_none(words: str, closed: str) -> None:
    """Standard input and standard error may be missing."""
    whole, done = _shell(words), _shell(words, closed)
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    assert whole.stdout


def test_all_closed_is_told_by_the_exit_code() -> None:
    """An error keeps its own."""
    assert _shell("tables", "<&- >&- 2>&-").returncode == 1
    assert _shell("plan ''", "<&- >&- 2>&-").returncode == 2
    assert _shell("plan --foo", "2>/dev/full").returncode == 2


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """What is printed would stand in it: a run's log, a report."""
    script = (
        "from gpurig.report.streams import prepare_streams\nprepare_streams()\n"
        f"opened = open({str(tmp_path / 'log')!r}, 'w')\nassert opened.fileno() > 2\n"
        "print('printed'); import os; os.write(2, b'')\n"
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], check=False).returncode == 0
    assert (tmp_path / "log").read_text() == ""


def test_a_slow_reader_gets_everything() -> None:
    """Also through a pipe that another process made non-blocking."""
    narrow = (
        "import fcntl, os, sys; fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 4096);"
        " os.set_blocking(1, False); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    slow = "import os, time\nwhile p := os.read(0, 512): os.write(1, p); time.sleep(0.002)"
    python = shlex.quote(sys.executable)
    line = (
        f"{python} -c {shlex.quote(narrow)} -m gpurig.cli.main {ALL['resolve as JSON']}"
        f" | {python} -c {shlex.quote(slow)}; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["command"] == "resolve"


WRONG = {
    "an option": ("plan --foo", "plan: there is no option --foo; gpurig plan --help"),
    "nearly an option": ("plan --limitt x", "plan: there is no option --limitt; did you mean"),
    "a command": ("apply", "there is no command 'apply'; gpurig --help lists them"),
    "nearly a command": ("plam", "there is no command 'plam'; did you mean plan?"),
    "a command of image": ("image buld x", "image: there is no command 'buld'; did you mean"),
    "an option before": ("--foo plan", "there is no option --foo; gpurig --help"),
    "no value": ("plan --set", "plan: '--set' requires an argument; gpurig plan --help"),
    "a value": ("up --debug=1", "up: '--debug' does not take a value; gpurig up --help"),
    "a choice": ("up --prove x", "up: --prove: 'x' is not one of 'auto', 'always', 'never'"),
    "no choice": ("train", "train: --engine is missing: one of torchrun"),
    "a number": ("train --engine torchrun --processes-per-host x",
                 "--processes-per-host: 'x' is no number of processes; write a number, such as 2"),
    "no argument": ("image save", "image save: NAME is missing; gpurig image save --help"),
    "too much": ("settings a b", "settings: got unexpected extra argument (b)"),
    "ours": ("plan ''", "TARGET: the target is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_command_line_is_one_sentence(words: str, said: str) -> None:
    """Of one style, whether click finds it or we do; nothing on standard output, exit code 2."""
    done = _shell(words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gpurig: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_json_has_its_frame_for_every_error(words: str, said: str) -> None:
    """Whatever is wrong, before the words of the error or behind them."""
    done = _shell(f"{words} --json" if not words.endswith("--set") else "plan --json --set")
    assert done.returncode == 2
    frame = json.loads(done.stdout)
    (error,) = frame["errors"]
    assert frame["hosts"] == {}
    assert frame["command"] in {*gpurig.commands, "apply", "plam"}
    assert error["what"] in done.stderr


def test_the_frame_is_not_asked_for_by_a_program_s_own_words() -> None:
    """What stands behind `--` is the program's."""
    done = _shell("train --foo -- --json")
    assert (done.returncode, done.stdout) == (2, "")


def test_debug_adds_a_traceback_and_keeps_the_exit_code() -> None:
    """The sentence comes last."""
    done = _shell("plan '' --debug")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("gpurig: TARGET")


def test_a_bug_has_its_frame_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a traceback for whom it is reported to."""
    script = (
        "import sys; from gpurig.cli import main, tables\n"
        "def broken(*_): raise KeyError('oops')\n"
        "tables.show_tables = broken; sys.argv[1:] = ['tables', '--json']; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["code"], error["what"]) == ("internal", "internal error: KeyError: 'oops'")
    assert done.stderr.startswith("Traceback")


def test_the_commands_are_listed_as_a_person_needs_them() -> None:
    """Not by the alphabet."""
    listed = _shell("--help").stdout
    assert listed.index("  up ") < listed.index("  plan ") < listed.index("  facts ")


@pytest.mark.parametrize("home", ["/nonexistent", "relative", "tests", "/etc/passwd", "/proc"])
def test_a_home_that_takes_no_log_is_found_before_any_host(home: str, tmp_path: Path) -> None:
    """One sentence, exit code 2, and no folder is made in its place."""
    line = f"cd {shlex.quote(str(tmp_path))}; exec {sys.executable} -m gpurig.cli.main facts"
    environment = os.environ | {"HOME": home}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpurig: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert not Path("/nonexistent").exists()
