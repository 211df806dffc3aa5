"""A control process that is killed: how far its host must be for that, and that nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.clock import CLOCK
from lab.hosts import Host
from system.person import Person

Watch = Callable[[Host, Person], int]  # how far a run is; what it counts never becomes less

VENVS = "opt/gpurig/venvs"
# What belongs to one run only, wherever that puts it.
LEFT = (
    "ls -d /run/gpurig-run.* /opt/gpurig/wheels 2>/dev/null;"
    " find /etc /usr /opt /var/lib -xdev -name '*.gpurig-new' -not -path '*/docker/*'"
)


def packages(host: Host, person: Person) -> int:
    """The lines of dpkg's log: what it unpacked and configured, step by step."""
    return _lines(host.root / "var/log/dpkg.log")


def commands(host: Host, person: Person) -> int:
    """The lines of the run's log: each command, each verdict, each line that was answered."""
    return _lines(person.home / ".local/state/gpurig/runs/latest/log")


def wheels(host: Host, person: Person) -> int:
    """The wheels that are unpacked for an environment, and those that are in it."""
    return _found(host, "*/archive-v*/*") + _found(host, "*.new/lib/python*/site-packages/*-info")


def bytecode(host: Host, person: Person) -> int:
    """The files of an environment that are compiled."""
    return _counted(host.root / VENVS, ".gpurig/*.new/lib/**/*.pyc")


def objects(host: Host, person: Person) -> int:
    """What the compilers of Horovod have made."""
    return _counted(host.root / "var/lib/gpurig/horovod-build/work", "horovod-*/build/**/*.o")


def _found(host: Host, pattern: str) -> int:
    return _counted(host.root / VENVS / ".gpurig", pattern)


def _counted(folder: Path, pattern: str) -> int:
    """The files there are; a folder that goes while they are counted has them counted again."""
    while True:
        with suppress(FileNotFoundError):
            return sum(1 for _ in folder.glob(pattern))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@contextmanager
def begun(person: Person, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A gpurig at work, in a session of its own; its processes are killed at the end."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")}
    with (person.home / "said").open("wb") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "gpurig.cli.main", *map(str, words)],
            cwd=person.home,
            env=kept | {"HOME": str(person.home)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@contextmanager
def up_to(
    host: Host, person: Person, inventory: Path, watch: Watch, count: int
) -> Iterator[subprocess.Popen[bytes]]:
    """`gpurig up`, once this much more is counted than before it; SIGKILL ends it."""
    (person.home / ".local/state/gpurig/runs/latest").unlink(missing_ok=True)
    before = watch(host, person)
    words = ("up", inventory, "-y", "--prove", "never")
    with CLOCK.doing("gpurig up, killed"), begun(person, *words) as run:
        while (counted := watch(host, person) - before) < count:
            if run.poll() is not None:
                said = (person.home / "said").read_text()
                raise AssertionError(f"it ended at {counted}: {said[-2000:]}")
            time.sleep(0.01)
        yield run
