"""Commands run on this machine, and processes that outlive the program that started them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError


def run(
    *argv: str | Path,
    what: str = "",
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """
    Run a command and give its standard output.

    + what: what it is for, as in "cannot WHAT: ..."; raises ``LabError`` with the last line it said
    + env: added to this program's environment
    """
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            input=stdin if stdin is not None else "",
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
        )
    except FileNotFoundError as error:
        raise LabError(f"cannot {what or argv[0]}: {argv[0]} is not installed") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise LabError(f"cannot {what or argv[0]}: {said}")
    return done.stdout


def start(*argv: str | Path, log: Path, env: Mapping[str, str] | None = None) -> Process:
    """
    Start a process that outlives this program and belongs to nobody; its output goes to a log.

    A shell starts it in the background, so that init, not this program, is its parent.
    """
    background = 'cd / && setsid "$@" >>"$0" 2>&1 </dev/null & echo $!'
    pid = run("sh", "-c", background, log, *argv, what=f"start {argv[0]}", env=env)
    return Process.of(int(pid))


@dataclass(frozen=True)
class Process:
    """A process of this machine; its start time tells it from a later one with the same number."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this number now."""
        return cls(pid, _started(pid))

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return self.started != 0 and _started(self.pid) == self.started

    def children(self) -> list[int]:
        """The numbers of the processes it has started and that still run."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:
            return []
        return [int(word) for word in listed.split()]


def _started(pid: int) -> int:
    """The start time of a running process in clock ticks after boot, 0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
