"""A command that is attended ends with all that it started when nobody is there any more."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from gpurig.hosts import attended

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
# A child, one in a session of its own, one that ignores being asked, and their pids in a file.
FAMILY = """
echo $$ > {pids}
sleep 300 & echo $! >> {pids}
setsid sh -c 'echo $$ >> {pids}; timeout 300 sleep 300' &
sh -c 'trap "" TERM; echo $$ >> {pids}; while :; do sleep 1; done' &
sleep 300
"""


def _started(shell: str, line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [shell, "-c", attended.script(line)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _alive(pids: list[int]) -> list[int]:
    """Those that are not gone; a zombie is."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            found.append(pid)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_its_status_and_output_are_the_command_s(shell: str) -> None:
    """It does not wait for more of its input, and the command sees none."""
    with _started(shell, "cat; echo said; exit 3") as running:
        assert running.stdout
        assert running.stdout.read() == b"said\n"
        assert running.wait() == 3


@pytest.mark.parametrize("shell", SHELLS)
def test_all_that_it_started_ends_with_its_input(shell: str, tmp_path: Path) -> None:
    """Whatever session it is in, and also what does not end when it is asked to."""
    file = tmp_path / "pids"
    with _started(shell, FAMILY.format(pids=file)) as running:
        assert running.stdin
        while not file.exists() or len(file.read_text().split()) < 4:
            time.sleep(0.05)
        pids = [int(pid) for pid in file.read_text().split()]
        assert _alive(pids) == pids
        running.stdin.close()
        ended = time.monotonic() + 60
        while _alive(pids) and time.monotonic() < ended:
            time.sleep(0.1)
        assert not _alive(pids)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_it_clears_up_at_its_end_is_cleared_up(shell: str, tmp_path: Path) -> None:
    """As in an installation that is ended after its uploads, which hold passwords."""
    uploaded, began = tmp_path / "secret", tmp_path / "began"
    uploaded.write_text("password")
    line = f"{{ trap 'rm -f {uploaded}' EXIT; : > {began}; sleep 300; }} 3>&1 1>&2"
    with _started(shell, line) as running:
        assert running.stdin
        while not began.exists():
            time.sleep(0.05)
        running.stdin.close()
        ended = time.monotonic() + 60
        while uploaded.exists() and time.monotonic() < ended:
            time.sleep(0.1)
        assert not uploaded.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_package_manager_comes_to_its_end(shell: str, tmp_path: Path) -> None:
    """What started it is gone meanwhile."""
    apt, began, ended = tmp_path / "apt-get", tmp_path / "began", tmp_path / "ended"
    apt.write_text(f"#!/bin/sh\n: > {began}; sleep {2 * attended.GRACE}; : > {ended}\n")
    apt.chmod(0o755)
    with _started(shell, f"{apt}; sleep 300") as running:
        assert running.stdin
        while not began.exists():
            time.sleep(0.05)
        running.stdin.close()
        late = time.monotonic() + 60
        while not ended.exists() and time.monotonic() < late:
            time.sleep(0.1)
        assert ended.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_ends_with_its_input(shell: str) -> None:
    """Every user can make something in it, and it goes with all that is in it."""
    with subprocess.Popen(
        [shell, "-c", attended.folder()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin
        assert running.stdout
        path = Path(running.stdout.readline().decode().strip())
        assert path.stat().st_mode & 0o7777 == 0o1733
        (path / "a").mkdir()
        (path / "a" / "b").write_text("")
        running.stdin.close()
        running.wait()
        assert not path.exists()
