"""The folders that runs leave: which there are, how each ended, and which can go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gpurig import store
from gpurig.errors import GpurigError, InputError

_NAME = "%Y%m%d-%H%M%S-%f"
_FOLDER = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}")
ABOUT, LOG, REPORT, LINES = "run.json", "log", "report.html", "lines.log"
_OURS = {ABOUT, LOG, REPORT, LINES, "report.json", "junit.xml"}
_VERDICTS = {
    0: "OK",
    1: "not OK",
    2: "nothing could be done",
    3: "something to do",
    4: "OK, but something needs you or is not proven",
    130: "interrupted",
}
_going: list[tuple[Path, int]] = []  # this process's own run, and what holds its lock


@dataclass(frozen=True)
class Run:
    """
    One run.

    + folder: where it wrote; command, hosts: what it did where, empty where it did not say so
    + code: its exit code, or None while it runs and where it was killed
    + told: whether it was to say how it ends; gpurig 0.1 said it nowhere
    + running: whether it goes on now
    """

    folder: Path
    command: str
    hosts: tuple[str, ...]
    code: int | None
    told: bool
    running: bool

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def began(self) -> datetime:
        """When, in local time."""
        return datetime.strptime(self.name, _NAME)

    @property
    def verdict(self) -> str:
        """How it ended, in a few words."""
        if self.running:
            return "running"
        if self.code is None:
            return "ended early" if self.told else "unknown"
        return _VERDICTS.get(self.code, f"exit code {self.code}")

    @property
    def size(self) -> int:
        """Bytes of its files, as far as they can be read: a run that goes on renames some."""
        found = 0
        with suppress(OSError):
            for file in self.folder.iterdir():
                with suppress(OSError):
                    found += file.lstat().st_size
        return found

    @property
    def foreign(self) -> list[str]:
        """What in its folder no run wrote; the folder itself where it cannot be read."""
        try:
            return sorted({file.name for file in self.folder.iterdir()} - _OURS)
        except OSError:
            return [self.name]


def place() -> Path:
    """Where all runs are."""
    return store.state() / "runs"


def new() -> Path:
    """The folder of a run that begins now."""
    return place() / datetime.now().strftime(_NAME)


def began(folder: Path, command: str, hosts: Sequence[str]) -> None:
    """Note what a run does, and hold its folder for as long as this process lives."""
    _note(folder, command, hosts, None)
    _going.append((folder, store.hold(folder)))


def ended(code: int) -> None:
    """Note the exit code of this process's run, if it has one."""
    while _going:
        folder, held = _going.pop()
        run = _run(folder)
        with suppress(Exception):  # the run's end is told; a full disk does not change it
            _note(folder, run.command, run.hosts, code)
        os.close(held)


def _note(folder: Path, command: str, hosts: Sequence[str], code: int | None) -> None:
    about = {"command": command, "hosts": list(hosts), "code": code}
    store.write(folder / ABOUT, json.dumps(about) + "\n")


def found() -> list[Run]:
    """All runs, the oldest first; nothing else that lies there."""
    if not place().is_dir():
        return []
    store.refuse_foreign(place())
    folders = sorted(one for one in place().iterdir() if _FOLDER.fullmatch(one.name))
    return [_run(one) for one in folders if one.is_dir() and not one.is_symlink()]


def _run(folder: Path) -> Run:
    command, code, told = "", None, False
    hosts: tuple[str, ...] = ()
    for file in (ABOUT, "report.json"):
        with suppress(OSError, ValueError, AttributeError, TypeError):
            about = json.loads((folder / file).read_text())
            command, hosts = str(about["command"]), tuple(map(str, about["hosts"]))
            code, told = about.get("code"), "code" in about
            break
    code = code if isinstance(code, int) else None
    return Run(folder, command, hosts, code, told, store.is_held(folder))


def named(word: str | None) -> Run:
    """The run whose folder begins so; without a word, and for ``latest``, the newest."""
    runs = found()
    if not runs:
        raise InputError("run-unknown", "there is no run yet", str(place()))
    if word in (None, "latest"):
        return runs[-1]
    fitting = [run for run in runs if word and run.name.startswith(word)]
    if len(fitting) != 1:
        what = (
            f"{len(fitting)} runs begin with {word!r}" if fitting else f"there is no run {word!r}"
        )
        raise InputError("run-unknown", what, "RUN", "gpurig runs lists them")
    return fitting[0]


def outdated(keep: int | None, days: int | None) -> list[Run]:
    """
    The runs that can go: those before the newest `keep`, or that began more than `days` ago.

    Never the newest, one that is running, or one in whose folder is something else.
    """
    runs = found()
    old = runs[:-1] if keep is None else runs[: max(len(runs) - keep, 0)]
    if days is not None:
        since = datetime.now() - timedelta(days=days)
        old = [run for run in old if run.began < since]
    return [run for run in old if not run.running and not run.foreign]


def delete(run: Run) -> None:
    """Its files and its folder; what is none of a run's stays, and its folder with it."""
    try:
        for name in _OURS:
            (run.folder / name).unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # another process was faster
            run.folder.rmdir()
    except OSError as error:
        what = f"it cannot be deleted ({error.strerror})"
        do = "check its owner and mode"
        raise GpurigError("run-kept", what, str(run.folder), do) from error
