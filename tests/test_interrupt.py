"""Ctrl-C, kill and a closed terminal end a run once, with what is known of its hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A run in which each host waits for a process of ours, as while proving; it says when it does.
PROGRAM = """
from gpurig.hosts import greenlets
greenlets.patch()
import gevent
from gevent.os import nb_read
from gevent.subprocess import PIPE, Popen
from gpurig.engine import run as module
from gpurig.engine.runner import prepare_engine
from gpurig.hosts.inventory import HostSpec
from gpurig.settings.options import Options

class Quiet:
    def __getattr__(self, name):
        return lambda *given: None

def wait(self):
    self.doing = "DOING"
    child = Popen(["sleep", "60"], stdout=PIPE)
    print("waits", flush=True)
    try:
        nb_read(child.stdout.fileno(), 1)
    finally:
        child.kill()
        if STUBBORN:
            gevent.sleep(60)

module._HostRun._run = wait
prepare_engine()
specs = [HostSpec.of(name, "ssh", name, {}) for name in ("gpu01", "gpu02")]
try:
    module.run(specs, Options("up"), Quiet())
except module.Interrupted as interrupted:
    print(*[str(one.errors[0]) for one in interrupted.results], sep="\\n", flush=True)
    raise SystemExit(greenlets.INTERRUPTED)
"""


def _started(
    doing: str, stubborn: bool = False, ignored: signal.Signals | None = None
) -> subprocess.Popen[str]:
    """ignored: as whoever starts it left it."""
    program = PROGRAM.replace("DOING", doing).replace("STUBBORN", str(stubborn))
    running = subprocess.Popen(
        [sys.executable, "-c", program], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: _dispositions(ignored),
    )  # fmt: skip
    assert running.stdout
    assert [running.stdout.readline() for _ in range(2)] == ["waits\n"] * 2
    return running


def _dispositions(ignored: signal.Signals | None) -> None:
    """As a terminal's shell leaves them, whoever started these tests; but for one."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("doing", "said"),
    [
        ("proving", "interrupted while proving; the host is not proven; gpurig verify"),
        ("changing", "interrupted while changing the host; changes so far stay; run gpurig up"),
        ("asking", "interrupted at the question; nothing was changed"),
    ],
)
def test_a_run_that_is_ended_says_what_it_was_doing(
    number: signal.Signals, doing: str, said: str
) -> None:
    """For each host, in one sentence; nothing else is printed."""
    with _started(doing) as running:
        running.send_signal(number)
        assert running.stdout
        lines = running.stdout.read().splitlines()
        assert running.wait() == 130
    assert [said in line for line in lines] == [True, True], lines


def test_the_second_time_it_ends_at_once() -> None:
    """Also where a host does not let go."""
    with _started("changing", stubborn=True) as running:
        running.send_signal(signal.SIGINT)
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
        assert running.returncode == 130


def test_ctrl_c_reaches_a_run_in_the_background() -> None:
    """A shell without job control starts it with that signal ignored."""
    with _started("proving", ignored=signal.SIGINT) as running:
        running.send_signal(signal.SIGINT)
        running.communicate()
        assert running.returncode == 130


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    """Ctrl-C does."""
    with _started("proving", ignored=signal.SIGHUP) as running:
        running.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=3)
        running.send_signal(signal.SIGINT)
        running.communicate()
        assert running.returncode == 130


# A signal that comes while Python runs what it takes no exception from.
UNHEARD = """
import os, signal
def comes():
    signal.raise_signal(signal.SIGINT)
class Finalized:
    def __del__(self):
        comes()
import logging
from gpurig.hosts import greenlets
def callback():  # as logging's, which gives its lock back
    if not begun:
        begun.append(True)
        comes()
        logging.warning("the callback comes to its end")
begun = []
if WHERE == "in a callback of fork":
    os.register_at_fork(after_in_parent=callback)
greenlets.patch()
from gevent import subprocess
try:
    if WHERE == "in a finalizer":
        Finalized()
    subprocess.run(["sleep", "0.1"])
    subprocess.run(["sleep", "60"])
except KeyboardInterrupt:
    logging.warning("it is over")
"""


@pytest.mark.parametrize(
    ("verb", "stays"), [("facts", ""), ("up", " Changes so far stay. Run it again to finish.")]
)
def test_only_what_changes_says_that_changes_stay(verb: str, stays: str, tmp_path: Path) -> None:
    """While the inventory is read, which is a program as well."""
    (tmp_path / "lab.py").write_text("print(1, flush=True)\nimport time\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "gpurig.cli.main", verb, tmp_path / "lab.py"], text=True,
        env=os.environ | {"HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stdout
        assert running.stdout.readline() == "1\n"
        running.send_signal(signal.SIGINT)
        _, told = running.communicate()
        assert running.returncode == 130
    assert told.strip() == f"gpurig: interrupted.{stays}"


@pytest.mark.parametrize("where", ["in a callback of fork", "in a finalizer"])
def test_ctrl_c_is_never_lost(where: str) -> None:
    """It ends what waits next, and nothing of Python's is left taken."""
    done = subprocess.run(
        [sys.executable, "-c", UNHEARD.replace("WHERE", repr(where))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "WARNING:root:it is over"
    assert ("comes to its end" in done.stderr) == (where == "in a callback of fork")
