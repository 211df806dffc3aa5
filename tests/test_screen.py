"""The screen: what a person needs to see, and no more."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.text import Text

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.progress import Progress
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.engine.run import _may_change
from gpurig.errors import HostError
from gpurig.report import plan, screen
from gpurig.report.screen import Screen
from gpurig.report.shown import say_lines
from gpurig.report.summary import ending
from gpurig.report.terminal import Hanging, Terminal
from gpurig.settings.checks import validate
from gpurig.settings.options import Options
from gpurig.stack.described import Given, described
from gpurig.stack.resolver import resolve

SETTINGS = validate({"rig_users": ["ada"]}, "here")


@pytest.mark.parametrize("verdict", ProofVerdict)
def test_proofs_that_do_not_apply_are_left_to_the_report(
    verdict: ProofVerdict, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every other verdict is told with its reason as it comes."""
    told = Screen(["gpu01"])
    told.proof("gpu01", Proof("a.b", "It works", verdict, reason="because"))
    shown = f"{verdict.value:14} It works: because (< 0.1 s)" in capsys.readouterr().out
    assert shown is (verdict is not ProofVerdict.NOT_APPLICABLE)


def _bare(name: str = "gpu01") -> HostResult:
    """The plan of a bare Debian 13 without a GPU."""
    answer = resolve(SETTINGS, described(Given("debian:13")))
    product = "TensorFlow 2.21.0 for CPU in /opt/gpurig/venvs/tensorflow"
    drifts = {
        "docker.packages": ("not installed", "installed", "install docker.io, docker-cli"),
        "environments.packages": ("not installed", "installed", "install python3, virtualenv"),
        "environments.tools": ("no uv", "uv 0.13.9", "install uv 0.13.9 in /opt/gpurig/tools"),
        "environment.tensorflow.interpreter": (
            "not there", "Python 3.13, 92 packages as locked", f"install {product}",
        ),
        "docker.proxy": ("http://old:1", "http://new:2", "write the proxy"),
        "workloads.archives": ("no archives", "the originals", "copy 4 archives of MNIST"),
    }  # fmt: skip
    found = [Finding(name, Verdict.DRIFTED, *words) for name, words in drifts.items()]
    found += [Finding(f"docker.{n}", Verdict.FOLLOWS, wanted="docker.packages",
                      reason="known after docker.packages")
              for n in ("service", "running-config", "socket")]  # fmt: skip
    found.append(Finding("users.docker-group", Verdict.FOLLOWS, wanted="docker.packages"))
    found += [Finding(f"a.{n}", Verdict.HOLDS) for n in range(7)]
    found += [Finding(n, Verdict.LEFT_OUT, reason="no NVIDIA GPU")
              for n in ("driver", "container-toolkit", "cuda")]  # fmt: skip
    return HostResult(name, plan=found, answer=answer, connected=True)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is written on a terminal of 80 columns and 24 lines."""
    written = StringIO()
    monkeypatch.setattr(screen, "Terminal", lambda **_: Terminal(
        file=written, force_terminal=True, width=80, height=24, color_system=None))  # fmt: skip
    return written


def _asked(answer: str, monkeypatch: pytest.MonkeyPatch, *results: HostResult) -> bool:
    answers = iter(answer.split(" "))
    monkeypatch.setattr("rich.console.Console.input", lambda self, prompt="", **_: (
        self.print(prompt, end=""), next(answers))[1])  # fmt: skip
    settings = {result.name: SETTINGS for result in results}
    told = Screen([result.name for result in results], False, Options(person=True), settings)
    return told.asked(list(results))


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("y", True), ("yes", True), ("YES", True), ("n", False), ("no", False), ("No", False),
     ("maybe yes", True), ("maybe", False)],
)  # fmt: skip
def test_yes_is_an_answer(
    answer: str, yes: bool, terminal: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole words and letters, in either case; anything else is asked again."""
    if answer == "maybe":
        answer = "maybe no"
    assert _asked(answer, monkeypatch, _bare()) is yes
    assert terminal.getvalue().count("Change gpu01?") == 1 + answer.startswith("maybe")


def test_the_question_of_a_bare_host_fits_a_screen(
    terminal: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With title, versions, room, what follows, what is left out and why, and a count."""
    _asked("no", monkeypatch, _bare())
    lines = terminal.getvalue().splitlines()
    assert len(lines) <= 24
    assert lines[0] == "What will change on gpu01"
    assert lines[-2] == "  6 to change, 4 follow, 7 OK"
    assert lines[-1] == "Change gpu01? [yes/no] (no): "
    text = " ".join(" ".join(lines).split())
    assert "New: Docker docker.io (from the distribution); TensorFlow 2.21.0" in text
    assert "Needs about 2.5 GB in /opt/gpurig/venvs and 500 MB in /var." in text
    assert "For Docker, ada must log in again." in text
    assert "Then gpurig proves it, with a training in TensorFlow that takes minutes." in text
    assert "Left out: driver, container-toolkit, cuda (no NVIDIA GPU)." in text
    assert "docker.proxy: write the proxy (http://old:1 -> http://new:2)" in text


def test_a_gpu_host_is_told_of_the_reboot() -> None:
    """Who reboots follows from the settings; gpurig never reboots its own machine."""
    result = _bare("gpu01")
    result.plan.append(Finding("driver.loaded", Verdict.FOLLOWS, wanted="driver.packages"))
    for option, who in [("never", "you reboot"), ("ask", "asks you"), ("if-needed", "gpurig reb")]:
        told = plan.expected(result, Options(reboot=option), SETTINGS)
        assert any("may need a reboot" in line and who in line for line in told)
    result.name = "@local"
    told = plan.expected(result, Options(reboot="if-needed"), SETTINGS)
    assert any("you reboot" in line for line in told)


def test_nothing_is_proven_where_nobody_wants_it() -> None:
    """`--prove never` leaves the training out of what is expected."""
    assert not any("proves" in x for x in plan.expected(_bare(), Options(prove="never"), SETTINGS))


def test_hosts_with_the_same_plan_share_it(
    terminal: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty alike are one plan, and one that differs has its own."""
    results = [_bare(f"gpu{n:02}") for n in range(50)]
    results[7].plan = [f for f in results[7].plan if f.id != "docker.proxy"]
    _asked("no", monkeypatch, *results)
    text = terminal.getvalue()
    assert text.count("What will change on") == 2
    assert "What will change on gpu00, gpu01, gpu02, gpu03 and 45 more\n" in text
    assert "  6 to change, 4 follow, 7 OK each\n" in text
    assert "What will change on gpu07\n" in text
    assert "Change gpu00, gpu01, gpu02, gpu03 and 46 more? [yes/no]" in text


@pytest.mark.parametrize("command", ["plan", "up", "verify"])
def test_only_verify_shows_no_plan(
    command: str, terminal: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """It changes nothing; its last lines say that something is to change."""
    result = _bare()
    Screen(["gpu01"], False, Options(command, yes=True), {"gpu01": SETTINGS}).planned(result)
    assert ("What will change" in terminal.getvalue()) is (command != "verify")
    say_lines(ending(result, SETTINGS, command))
    said = capsys.readouterr().out
    assert ("10 to change: gpurig plan shows what" in said) is (command == "verify")
    assert ("gpu01: 6 to change, 4 follow, 7 OK\n" in said) is (command == "plan")


def test_words_and_times_are_whole_at_80_columns(terminal: StringIO) -> None:
    """What is done and what is proven goes on below its own beginning."""
    told = Screen(["gpu01"])
    told.rows["gpu01"].since -= 98
    told.done("gpu01", _bare().plan[3])
    title = "A network learns handwritten digits, and predicts the same after saving and loading"
    told.proof("gpu01", Proof("w.m", title, ProofVerdict.PASSED, "0.9753, 2,325 images/s", 98))
    assert terminal.getvalue().splitlines() == [
        "done     environment.tensorflow.interpreter: install TensorFlow 2.21.0 for CPU",
        "         in /opt/gpurig/venvs/tensorflow (1 min 38 s)",
        "passed         A network learns handwritten digits, and predicts the same after",
        "               saving and loading: 0.9753, 2,325 images/s (1 min 38 s)",
    ]


def test_what_runs_is_named_and_counted(terminal: StringIO) -> None:
    """Step and proof, how many there are, and how far the one at work is."""
    told = Screen(["gpu01"], False, Options(yes=True), {"gpu01": SETTINGS})
    result = _bare()
    told.planned(result)
    told.stage("gpu01", "changing")
    for finding in result.plan[:4]:
        told.finding("gpu01", finding)
    told.progress("gpu01", Progress("packages", 38, 92))
    row = told.rows["gpu01"]
    assert (row.number, row.of, row.layer) == (4, 10, "environments")
    assert (row.step, row.moving) == (result.plan[3].will, "38 of 92 packages")
    told.stage("gpu01", "proving")
    told.proving("gpu01", "It works", 12, 43)
    told.line("gpu01", "epoch 1 of 1, step 235 of 938: test accuracy 0.9412\n")
    assert (row.stage, row.number, row.of, row.step) == ("proving", 12, 43, "It works")
    assert row.moving == "epoch 1 of 1, step 235 of 938: test accuracy 0.9412"
    terminal.truncate(0)
    told.console.print(told._render())
    assert "epoch 1 of 1, step 235 of 938: test accuracy 0.9412" in terminal.getvalue()


def test_the_last_lines_are_wrapped_by_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal alone; a command to try stays whole, and so does a line in a file."""
    long = "  left out: " + "words that go on " * 8 + "the-end"
    command = "  try: docker run --rm -it --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all debian sh"
    say_lines([long])
    assert capsys.readouterr().out == f"{long}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    say_lines([long, command, "  " + "x" * 100])
    first, *rest = capsys.readouterr().out.splitlines()
    assert len(first) <= 80
    assert rest[0].startswith("      ")
    assert " ".join([first, *map(str.strip, rest[:-2])]) == long
    assert rest[-2:] == [command, "  " + "x" * 100]


def test_no_word_is_lost_behind_a_tab() -> None:
    """rich counts a tab as blanks up to the next eighth column."""
    words = "alpha\tbeta\tgamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"
    written = StringIO()
    Terminal(file=written, width=40).print(Hanging(Text(words)))
    assert written.getvalue().split() == words.split()


def test_nobody_is_asked_about_a_host_that_has_failed() -> None:
    """As one whose package source does not answer: its plan stays, and nothing would come of it."""
    result = _bare()
    assert _may_change(result)
    result.errors.append(HostError("source-unreachable", "it does not answer"))
    assert not _may_change(result)
