"""One open way to one host: run a command line, watch it, hold the lock."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import gevent
from pyinfra.connectors.util import CommandOutput

from gpurig.contract.limits import MB, Limits
from gpurig.contract.progress import Progress
from gpurig.errors import HostError
from gpurig.hosts import host_lock
from gpurig.hosts.answer import Flooded, Read
from gpurig.hosts.exchange import (
    BROKEN,
    Room,
    Running,
    Silent,
    Unbegun,
    beating,
    follow,
    lines,
)
from gpurig.hosts.frame import Frame

GRACE = 10  # seconds for letting go, and beyond a bound that the host itself should keep
FILE = 256  # how often `Limits.answer` a file from a host may have
LOCKING = "taking its lock"
SHELL = "starting its shell"

OnLine = Callable[[str], None]
AsRoot = Callable[[str], tuple[str, bytes, int]]  # a script's line as root, its input, its marks


class Transport:
    """
    What stays open over all passes of a host.

    + name: of the host, for sentences; limits: how long and how much it may answer
    + on_line: is called with each line that a command prints while it runs, on one of `streams`
    + on_progress: is called as a command says how far it is
    + on_waiting: is called while what another run does there is waited for, with that run's holder
      and whether it is alive
    """

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        self.name, self.limits = name, limits or Limits()
        self.on_line: OnLine = lambda line: None
        self.streams: Sequence[str] = ("stdout", "stderr")
        self.on_progress: Callable[[Progress], None] = lambda progress: None
        self._folder: str | None = None
        self._lock: Running | None = None
        self._beats: gevent.Greenlet | None = None
        self.held = "", ""  # the lock's holder and the number of its shell, while we have it
        self.on_waiting: Callable[[str, bool], None] = lambda holder, alive: None
        self._silent = False
        self.begun = True  # whether the last command began, or what starts it, sudo, refused

    def run(
        self,
        line: str,
        stdin: bytes | BinaryIO = b"",
        timeout: int | None = None,
        told: bool = True,
        limit: str = "command",
        each: OnLine | None = None,
        beat: float = 0,
        marks: int = 1,
    ) -> tuple[int, CommandOutput]:
        """
        Run a shell command line; its exit status and output. Facts' lines are not told.

        + timeout: seconds for the whole command, TimeoutError when they have passed
        + limit: of `Limits`, for how long it may be silent
        + each: is given the lines of standard output, which are then neither told nor kept, and of
          which there may be much more
        + beat: as `follow` has it; marks: as `Stream` has them

        HostError where it is silent for too long, says too much, or no shell runs it.
        """

        def on_line(stream: str, text: str) -> None:
            if each and stream == "stdout":
                each(text)
                return
            if each:
                kept.take(text.encode() + b"\n")
            if told and stream in self.streams:
                self.on_line(text)

        seconds = getattr(self.limits, limit) + (GRACE if limit == "fact" else 0)
        room = Room(self.limits.answer * MB * (FILE if each else 1))
        kept = Room(self.limits.answer * MB)  # of standard error, which is always kept
        running = self._started(line, bool(stdin or beat), False, marks)
        try:
            with gevent.Timeout(
                timeout, TimeoutError(f"the command did not end within {timeout} s")
            ):
                bounds = self.limits.connect, seconds
                self.begun = False
                answer = follow(running, stdin, bounds, room, on_line, each is None, beat)
                self.begun = running.begun
                return answer
        except Silent as error:
            self._silent = True
            key = limit if error.begun else "connect"
            doing = "" if error.begun else SHELL
            raise self.limits.silent(self.name, key, doing) from error
        except Flooded as error:
            raise self.limits.flooded(self.name) from error
        except Unbegun as error:
            raise self._unbegun(error) from error
        finally:
            self._let_go(running)

    def begin(self, line: str, marks: int = 1) -> Running:
        """Start a shell command line that is talked with while it runs; it ends with its input."""
        running = self._started(line, True, True, marks)
        late = self.limits.silent(self.name, "connect", SHELL)
        try:
            with gevent.Timeout(self.limits.connect, late):
                running.begin()
        except BaseException as error:
            self._let_go(running)
            if isinstance(error, Flooded):
                raise self.limits.flooded(self.name) from error
            if isinstance(error, Unbegun):
                raise self._unbegun(error) from error
            raise
        return running

    def _started(self, line: str, reads: bool, talks: bool, marks: int) -> Running:
        late = self.limits.silent(self.name, "connect", "starting a command")
        frame = Frame()
        try:
            with gevent.Timeout(self.limits.connect, late):
                streams = self._start(frame.around(line, reads, talks))
        except Unbegun as error:
            raise self._unbegun(error) from error
        return Running(*streams, frame, marks)

    def is_there(self) -> bool:
        """Whether the host can still be talked with."""
        return True

    def _unbegun(self, error: Unbegun) -> HostError | OSError:
        if not self.is_there():
            return ConnectionError("it ended as a command began")
        return HostError(
            "host-shell",
            f"the login shell does not run gpurig's command ({error.said})",
            self.name,
            "run `ssh HOST date` to see why: a profile such as ~/.bashrc may end the shell or start"
            " another one only where it is interactive",
            host=self.name,
        )

    def folder(self) -> str:
        """A private folder of this run on the host (mode 0700), for uploads."""
        if self._folder is None:
            code, output = self.run("umask 077; mktemp -d /tmp/gpurig-XXXXXXXXXX", limit="fact")
            if code or not output.stdout_lines:
                raise OSError(f"gpurig cannot make a private folder there: {output.output}")
            self._folder = output.stdout_lines[0]
        return self._folder

    def lock(self, holder: str, as_root: AsRoot) -> list[str] | None:
        """
        Take the host's lock until `close`; what was answered instead where that is not possible.

        The lock is held by a process that ends with this connection, or when it hears nothing of
        us; what an earlier run left at work is waited for. The answer is ``held`` and the holder's
        own words, or what kept the command from running. HostError where nothing is answered.
        """
        line, stdin, marks = as_root(host_lock.script(holder))
        running = self.begin(line, marks)
        try:
            running.stdin.write(stdin)
            running.stdin.flush()
            said = lines(running.out, Room(MB))
            first = self._answered(said)
            while first.startswith("waiting "):
                self.waits(first)
                first = self._answered(said)
            word, _, number = first.partition(" ")
            if word == "locked":
                self._lock, self.held = running, (holder, number)
                self._beats = gevent.spawn(_beating, running)
                return None
            with gevent.Timeout(GRACE, self.limits.silent(self.name, "fact", LOCKING)):
                running.stdin.close()
                errors = lines(running.err, Room(MB))
                return [first, *(line.strip() for one in (said, errors) for line in one)]
        except Flooded as error:
            raise self.limits.flooded(self.name) from error
        finally:
            if self._lock is not running:
                self._let_go(running)

    def _answered(self, said: Iterator[str]) -> str:
        with gevent.Timeout(self.limits.fact, self.limits.silent(self.name, "fact", LOCKING)):
            return next(said, "").strip()

    def waits(self, line: str) -> None:
        """Tell of a line of the lock's shell that says what is waited for."""
        _, how, holder = [*line.split(" ", 2), ""][:3]
        self.on_waiting(holder, how == "alive")

    def close(self) -> None:
        """Give the lock back, remove the private folder, hang up; what is silent is not asked."""
        lock, self._lock, self.held = self._lock, None, ("", "")
        if self._beats is not None:
            self._beats.kill()
        folder, self._folder = self._folder, None
        if lock is not None:
            with gevent.Timeout(GRACE, False), suppress(*BROKEN):
                lock.stdin.close()
                if not self._silent:
                    lock.status()
            self._let_go(lock)
        if folder is not None and not self._silent:
            with gevent.Timeout(GRACE, False):
                self.run(f"rm -rf {shlex.quote(folder)}")

    def _let_go(self, running: Running) -> None:
        with gevent.Timeout(GRACE, False), suppress(*BROKEN):
            running.close()

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        """Start a command: its stdin, how stdout and stderr are read, its status, the end of it."""
        raise TypeError("a transport is local or SSH")


def _beating(running: Running) -> None:
    with suppress(*BROKEN):
        beating(running, host_lock.BEAT)
