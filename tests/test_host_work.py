"""What a run changes holds a lock of its own: it comes to its end, and the next run waits."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyinfra.api import StringCommand

from gpurig.contract import staged
from gpurig.contract.attended import Attended
from gpurig.errors import HostError
from gpurig.hosts import attended, host_lock
from gpurig.hosts.connector import GpurigConnector

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
Run = Callable[..., GpurigConnector]


class Work:
    """A change that goes on until it is told to end, and then leaves a file."""

    def __init__(self, folder: Path) -> None:
        self.began, self.go, self.done = (folder / name for name in ("began", "go", "done"))

    @property
    def line(self) -> str:
        began, go, done = (shlex.quote(str(one)) for one in (self.began, self.go, self.done))
        return f": >{began}; until [ -e {go} ]; do echo x; echo y >&2; sleep 0.1; done; : >{done}"

    @contextmanager
    def of(self, run: GpurigConnector, ends: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """At work for a run, by a connection of its own."""
        assert run.transport
        script = host_lock.changing(self.line, *run.transport.held, ends=ends)
        with subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            while not self.began.exists():
                time.sleep(0.02)
            try:
                yield process
            finally:
                self.go.touch()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def _cut(process: subprocess.Popen[bytes]) -> None:
    """As where the connection ends: nobody reads what it prints."""
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream
        stream.close()


def _waits(run: GpurigConnector, work: Work) -> list[tuple[str, bool]]:
    """What this run is told while it waits; the work goes on until it has been told."""
    told: list[tuple[str, bool]] = []

    def waiting(holder: str, alive: bool) -> None:
        told.append((holder, alive))
        work.go.touch()

    assert run.transport
    run.transport.on_waiting = waiting
    return told


def test_the_next_run_waits_for_what_a_run_left_at_work(lock: Path, run: Run, work: Work) -> None:
    """It says whose work it is, and has the lock when that is done; nobody reads what it prints."""
    first, second = run(), run()
    first.lock("ann on desk", {})
    with work.of(first) as process:
        first.disconnect()
        _cut(process)
        told = _waits(second, work)
        second.lock("bob", {})
        assert work.done.exists()
        assert told[0] == ("ann on desk", False)


def test_whoever_has_the_lock_waits_for_no_run_that_is_alive(
    lock: Path, run: Run, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is alive itself, and gives the signs of life that it sees."""
    monkeypatch.setattr(host_lock, "_EACH", 1)
    first, second = run(), run()
    first.lock("ann", {})
    with work.of(first) as process:
        first.disconnect()
        _cut(process)
        told: list[tuple[str, bool]] = []

        def waiting(holder: str, alive: bool) -> None:
            told.append((holder, alive))
            if len(told) == 3:
                work.go.touch()

        assert second.transport
        second.transport.on_waiting = waiting
        second.lock("bob", {})
        assert set(told) == {("ann", False)}


@pytest.mark.parametrize("alive", [False, True], ids=["left", "alive"])
def test_facts_are_read_when_no_change_goes_on(
    lock: Path, run: Run, work: Work, alive: bool
) -> None:
    """Whether its run has ended or not, which is told."""
    first, second = run(), run()
    first.lock("ann", {})
    with work.of(first) as process:
        if not alive:
            first.disconnect()
            _cut(process)
        told = _waits(second, work)
        second.settles = True
        second.prefetch([StringCommand(f"ls {shlex.quote(str(work.done))}")], {})
        (ok, answer), *_ = second.facts.values()
        assert ok, answer.output
        assert told[0] == ("ann", alive)


def test_where_nothing_goes_on_reading_costs_no_command_more(lock: Path, run: Run) -> None:
    """Neither on a host that never had a run, nor after one."""
    for _ in range(2):
        one = run()
        one.settles = True
        one.prefetch([StringCommand("echo 1")], {})
        assert one.commands == 1
        assert [answer.stdout_lines for _, answer in one.facts.values()] == [["1"]]
        one.lock("ann", {})
        one.disconnect()


def test_a_run_that_is_cut_off_silently_loses_the_lock(
    lock: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection still stands there: it is waited for, and changes nothing any more."""
    monkeypatch.setattr(attended, "PATIENCE", 2)
    first, second = run(), run()
    first.lock("ann", {})
    assert first.transport
    assert first.transport._beats
    first.transport._beats.kill()
    second.lock("bob", {})
    ok, output = first.run_shell_command(StringCommand("echo changed"))
    assert not ok
    assert "this run has lost the host's lock" in output.output


def test_what_is_not_done_in_time_is_named(
    lock: Path, run: Run, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its holder and its process, and nothing is changed."""
    monkeypatch.setattr(host_lock, "PATIENCE", 1)
    monkeypatch.setattr(host_lock, "_EACH", 1)
    first, second = run(), run()
    first.lock("ann on desk", {})
    with work.of(first) as process:
        first.disconnect()
        said = rf"left at work there goes on: ann on desk, process {process.pid} \(sh\)"
        second.settles = True
        with pytest.raises(HostError, match=said) as error:
            second.prefetch([StringCommand("echo")], {})
        assert error.value.code == "host-locked"
        with pytest.raises(HostError, match=said):
            second.lock("bob", {})


def test_what_ends_with_its_run_holds_the_lock_until_it_has(
    lock: Path, run: Run, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what takes its time to end."""
    monkeypatch.setattr(attended, "GRACE", 8)  # a busy machine takes more than 3 for this
    first, second = run(), run()
    first.lock("ann", {})
    work.began.touch()
    ended = work.done
    line = f"trap 'sleep 1; : >{ended}' EXIT; : >{work.go}; sleep 99"
    script = host_lock.changing(line, "ann", first.transport.held[1], ends=True)
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE) as process:
        while not work.go.exists():
            time.sleep(0.02)
        assert process.stdin
        process.stdin.close()
        first.disconnect()
        second.lock("bob", {})
        assert ended.exists()


@pytest.mark.parametrize("kind", [StringCommand, Attended])
def test_a_change_is_the_command_it_was(lock: Path, run: Run, kind: type[StringCommand]) -> None:
    """Its input, its streams and its status; the lock of work is free again when it ends."""
    one = run()
    one.lock("ann", {})
    ok, output = one.run_shell_command(kind("cat; echo out; echo err >&2; exit 3"))
    assert not ok
    assert (output.stdout_lines, output.stderr_lines) == (["out"], ["err"])
    code, output = one.execute(StringCommand("cat"), {"_stdin": "said"}, held=True)
    assert (code, output.stdout_lines) == (0, ["said"])
    free = ["flock", "-n", host_lock._work(), "true"]
    assert subprocess.run(free, check=False).returncode == 0
    assert not list(lock.parent.glob(f"{staged.RUNS}*"))


def test_a_long_change_fits(lock: Path, run: Run) -> None:
    """Of nearly what one argument takes, which is 131,072 bytes."""
    one = run()
    one.lock("ann", {})
    ok, output = one.run_shell_command(StringCommand(f"echo {'x' * 120_000} | wc -c"))
    assert ok, output.stderr_lines
    assert output.stdout_lines == ["120001"]


@pytest.mark.parametrize("shell", SHELLS)
def test_where_nothing_can_be_drained_a_change_runs_all_the_same(
    lock: Path, run: Run, shell: str, tmp_path: Path
) -> None:
    """And no daemon that it leaves keeps the lock of work."""
    one = run()
    one.lock("ann", {})
    line = "sleep 60 >&- 2>&- & echo $!; exit 4"
    script = host_lock.changing(line, "ann", one.transport.held[1], ends=False)
    full = f"mktemp() {{ return 1; }}; {script}"
    done = subprocess.run([shell, "-c", full], capture_output=True, check=False)
    try:
        assert done.returncode == 4
        free = ["flock", "-n", host_lock._work(), "true"]
        assert subprocess.run(free, check=False).returncode == 0
    finally:
        subprocess.run(["kill", done.stdout.strip()], check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_change_leaves_running_is_not_waited_for(lock: Path, run: Run, shell: str) -> None:
    """A daemon that keeps the streams of what started it."""
    one = run()
    one.lock("ann", {})
    script = host_lock.changing("sleep 60 & echo $!", "ann", one.transport.held[1], ends=False)
    done = subprocess.run([shell, "-c", script], capture_output=True, timeout=50, check=True)
    subprocess.run(["kill", done.stdout.strip()], check=True)


def test_no_two_runs_share_a_name(lock: Path, run: Run) -> None:
    """What an older run would remove is its own; what it left goes with the next lock."""
    script = "from gpurig.contract.staged import private; print(private('environment'))"
    names = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(names) == 2
    left = lock.parent / f"{staged.RUNS}0123456789abcdef.environment.env"
    left.write_text("password")
    run().lock("ann", {})
    assert not left.exists()
