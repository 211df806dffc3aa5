"""How far a command is: what apt and our own shell say of it, and that it is nobody's output."""

from __future__ import annotations

import time

import pytest

from gpurig.contract.progress import AttendedAndTold, Progress, Told, counted, on_its_own
from gpurig.hosts.connector import GpurigConnector
from gpurig.operations.shared.apt_get import UPDATED
from gpurig.operations.shared.packages import install
from test_connector import connector

__all__ = ["connector"]


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("dlstatus:3:12.5000:Retrieving file 3 of 17 (1 min 31 s remaining)",
         Progress("Retrieving file 3 of 17 (1 min 31 s remaining)", percent=12.5)),
        ("pmstatus:docker.io:40.0000:Unpacking docker.io (amd64)",
         Progress("Unpacking docker.io (amd64)", percent=40.0)),
        ("pmstatus:libc6:amd64:80.0000:Installed libc6:amd64",
         Progress("Installed libc6:amd64", percent=80.0)),
        ("pmstatus:dpkg-exec:140:Running dpkg", Progress("Running dpkg", percent=100.0)),
        ("counted:packages:38:92:1100000000:2500000000",
         Progress("packages", 38, 92, 1_100_000_000, 2_500_000_000)),
        ("counted:packages:99:92:0:0", Progress("packages", 92, 92)),
    ],
)  # fmt: skip
def test_a_line_of_progress_is_read(line: str, progress: Progress) -> None:
    """apt's and ours; more than all there are is all there are."""
    assert Progress.read(line) == progress


@pytest.mark.parametrize(
    "line",
    ["", "Unpacking docker.io", "pmstatus:", "pmstatus:a:nan:x", "pmstatus:a:b:c", "dlstatus:1",
     "pmerror:a:40:trouble", "counted:packages:1:2:3", "counted:packages:-1:2:3:4",
     "counted:packages:²:2:3:4", "counted:packages:1:2:3:4:5", "pmstatus:a:1e999:x"],
)  # fmt: skip
def test_any_other_line_is_none(line: str) -> None:
    """What a program says there that is no progress changes nothing on the screen."""
    assert Progress.read(line) is None


@pytest.fixture
def told(connector: GpurigConnector) -> tuple[GpurigConnector, list[Progress], list[str]]:
    """A connector to this machine, the progress that it is told, and the lines."""
    progress: list[Progress] = []
    lines: list[str] = []
    assert connector.transport is not None
    connector.transport.on_progress = progress.append
    connector.transport.on_line = lines.append
    return connector, progress, lines


Connected = tuple[GpurigConnector, list[Progress], list[str]]


def test_progress_is_no_output(told: Connected) -> None:
    """It is told apart from the lines, and no answer, failure or log has it."""
    connector, progress, lines = told
    script = "echo pmstatus:a:50:Unpacking a >&3; echo E: it broke; echo more >&2; exit 1"
    ok, output = connector.run_shell_command(Told(on_its_own(script)))
    assert not ok
    assert progress == [Progress("Unpacking a", percent=50.0)]
    assert lines == output.output_lines == ["E: it broke", "more"]
    assert connector.failure is not None
    assert connector.failure[1] == lines


def test_what_is_counted_is_told_when_it_changes(told: Connected, tmp_path: object) -> None:
    """A command that hangs says nothing, so that its silence still has an end."""
    connector, progress, lines = told
    script = f"touch {tmp_path}/one; sleep 4; (exit 3)"
    line = counted(script, "files", f"ls {tmp_path} | wc -l", "2", str(tmp_path), 10)
    ok, _ = connector.run_shell_command(AttendedAndTold(on_its_own(line)))
    assert not ok
    assert [(p.what, p.done, p.total, p.room) for p in progress] == [("files", 1, 2, 10)]
    assert progress[0].size > 0
    assert not lines


def test_who_counts_ends_with_the_command(told: Connected) -> None:
    """Nothing of it holds the command's streams open."""
    connector, _, _ = told
    began = time.monotonic()
    line = counted("sleep 1.5", "files", "echo 1", "1")
    assert connector.run_shell_command(Told(on_its_own(line)))[0]
    assert time.monotonic() - began < 10
    assert connector.run_shell_command(Told(on_its_own(counted("exit 0", "f", "echo 1", "1"))))[0]


def test_apt_tells_on_that_stream() -> None:
    """Each of its commands that changes something; the trial run does not."""
    command = install(["it's", "b=1"])
    assert isinstance(command, Told)
    tried, rest = command.get_raw_value().partition(UPDATED)[2].split("; then ", 1)
    assert "apt-get" in tried
    assert "Status-Fd" not in tried
    assert rest.count("apt-get") == rest.count("APT::Status-Fd=3") == 3
    assert "'it'\"'\"'s'" in rest
