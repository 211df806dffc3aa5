"""The lock of a host: nobody but a run can hold it, and whoever does is named."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.errors import HostError
from gpurig.hosts import host_lock
from gpurig.hosts.connector import GpurigConnector

NOBODY = 65534
as_root = pytest.mark.lab  # which runs as root: another user is needed


@contextmanager
def _held(lock: Path, user: int, how: str = ">>") -> Iterator[int | None]:
    """A process of this user that holds the lock, by its number; None where it cannot."""
    opened = f"exec 9{how}{shlex.quote(str(lock))}"
    script = f"({opened}) || exit; {opened}; flock 9; echo held; exec sleep 99"
    with subprocess.Popen(
        ["sh", "-c", script], user=user, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        yield process.pid if process.stdout.readline() else None
        process.kill()


def _can_hold(lock: Path, how: str = "<") -> bool:
    with _held(lock, NOBODY, how) as number:
        return number is not None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_it_is_private_from_the_first_moment(
    lock: Path, run: Callable[..., GpurigConnector], umask: int
) -> None:
    """Mode 600 under any umask, and its content is one line and the number of a process."""
    before = os.umask(umask)
    try:
        run().lock("ann on desk", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    holder, number = lock.read_text().splitlines()
    assert holder == "ann on desk"
    assert Path(f"/proc/{number}").exists()


@as_root
@pytest.mark.parametrize("how", ["<", ">>"])
def test_a_user_cannot_hold_it(lock: Path, run: Callable[..., GpurigConnector], how: str) -> None:
    """The issue's `flock /run/gpurig.lock`: before a run, while one is at work, and afterwards."""
    assert not _can_hold(lock, how)
    first = run()
    first.lock("ann", {})
    assert not _can_hold(lock, how)
    first.disconnect()
    assert not _can_hold(lock, how)
    run().lock("bob", {})


@as_root
def test_what_an_older_version_left_is_closed(
    lock: Path, run: Callable[..., GpurigConnector]
) -> None:
    """Mode 644, as it was made: a user who holds it already is named, and no administrator."""
    lock.write_text("an administrator of long ago\n")
    lock.chmod(0o644)
    with _held(lock, NOBODY, "<") as number, pytest.raises(HostError) as error:
        run().lock("bob", {})
    said = str(error.value)
    assert f"process {number} (sleep) of nobody holds its lock" in said
    assert "and is no run of gpurig" in said
    assert "end that process" in said
    assert "administrator of long ago" not in said
    run().lock("bob", {})
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_run_is_named_by_its_own_words(lock: Path, run: Callable[..., GpurigConnector]) -> None:
    """Whoever is really at work there, and not what an earlier one left in the file."""
    first = run()
    first.lock("ann on desk since 12:00", {})
    with pytest.raises(
        HostError, match="another run of gpurig works there: ann on desk since 12:00"
    ):
        run().lock("bob", {})


def test_a_process_of_root_s_that_is_no_run_is_named(
    lock: Path, run: Callable[..., GpurigConnector]
) -> None:
    """The words in the file are somebody's who is gone."""
    lock.write_text("ann on desk\n1\n")
    lock.chmod(0o600)
    with _held(lock, os.geteuid()) as number, pytest.raises(HostError) as error:
        run().lock("bob", {})
    assert f"process {number} (sleep)" in str(error.value)
    assert "ann" not in str(error.value)


def test_words_that_look_like_ours_are_words(
    lock: Path, run: Callable[..., GpurigConnector]
) -> None:
    """A holder's name is quoted, and one with an escape acts nowhere."""
    name = "o'neill $(touch x) \x1b[2J`id`"
    run().lock(name, {})
    with pytest.raises(HostError) as error:
        run().lock("bob", {})
    assert f"another run of gpurig works there: {name}" in str(error.value)


FOREIGN = ["symlink", "dangling symlink", "folder", "fifo", "device", "another user's"]


@as_root
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_ours_is_refused(
    lock: Path, run: Callable[..., GpurigConnector], kind: str
) -> None:
    """One sentence with the file and what it is; it is neither followed nor changed."""
    victim = lock.with_name("victim")
    if kind == "symlink":
        victim.write_text("precious")
        lock.symlink_to(victim)
    elif kind == "dangling symlink":
        lock.symlink_to(victim)
    elif kind == "folder":
        lock.mkdir()
    elif kind == "fifo":
        os.mkfifo(lock)
    elif kind == "device":
        os.mknod(lock, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    else:
        lock.touch()
        os.chown(lock, NOBODY, NOBODY)
    before = lock.lstat()
    with pytest.raises(HostError, match=r"cannot take its lock: .* is no lock of") as error:
        run(Limits(fact=5)).lock("bob", {})
    assert str(lock) in str(error.value)
    assert "then remove the file" in str(error.value)
    assert (lock.lstat().st_mode, lock.lstat().st_mtime) == (before.st_mode, before.st_mtime)
    assert not victim.exists() or victim.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_that_others_write_to_is_refused(
    lock: Path, run: Callable[..., GpurigConnector], mode: int
) -> None:
    """There a file could be anybody's before we look, whatever it is when we do."""
    lock.parent.chmod(mode)
    with pytest.raises(HostError, match="which others can write to"):
        run().lock("bob", {})
    assert not lock.exists()


def test_an_answer_that_does_not_come_is_one_sentence(
    lock: Path, run: Callable[..., GpurigConnector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that hangs where the lock is taken is not waited for without end."""
    monkeypatch.setattr(host_lock, "script", lambda holder: "sleep 99")
    began = time.monotonic()
    with pytest.raises(HostError, match="no answer for 2 s while taking its lock"):
        run(Limits(fact=2)).lock("bob", {})
    assert time.monotonic() - began < 8


@as_root
def test_locks_of_this_machine_are_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache lies in a home that others may look into, also one that is there already."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "gpurig" / "held").mkdir(parents=True, mode=0o755)
    with store.one_at_a_time("key"):
        pass
    file = tmp_path / "gpurig" / "held" / "key"
    assert not _can_hold(file)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
