"""The program of a ProxyCommand, through which a host is reached."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from shlex import quote

from gevent import Timeout, sleep
from gevent.select import select
from paramiko import ProxyCommand

_ENDING = 2  # seconds in which a program that fails ends
_KEPT = 65536  # bytes of what it says
_LINE = 300  # characters of its first line


class ProxyProgram(ProxyCommand):
    """
    paramiko's, of which an end is an end.

    paramiko's own reads on, as fast as it can, once the program has ended, and cannot close it.
    """

    def __init__(self, command: str) -> None:
        # As ssh does: by a shell, which the command takes the place of.
        self._ended_here, self._ends = False, False  # by us; by itself, since it writes no more
        self._said, self._speaks = b"", True  # on its standard error; whether that is open
        super().__init__(f"/bin/sh -c {quote(f'exec {command}')}")

    def recv(self, size: int) -> bytes:
        """What it has written, as soon as there is some; nothing once it has ended."""
        out, errors = self.process.stdout, self.process.stderr
        assert out
        assert errors
        until = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready, _, _ = select([out, errors][: 1 + self._speaks], [], [], left)
            if out in ready:
                read = os.read(out.fileno(), size)
                self._ends = not read
                return read
            if not ready or left == 0:
                raise TimeoutError
            self._hear(errors.fileno())

    def _hear(self, errors: int) -> None:
        """Take what it says beside, so that it never waits for that; the beginning is kept."""
        said = os.read(errors, _KEPT)
        self._speaks = bool(said)
        self._said = (self._said + said)[:_KEPT]

    def close(self) -> None:
        """End it, unless it ends by itself, which it may do a moment after its last word."""
        if self._ends:
            self._await_end()
        if self.process.poll() is None:
            self._ended_here = True
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    def _await_end(self) -> None:
        with Timeout(_ENDING, False):
            while self.process.poll() is None:
                sleep(0.05)

    def failure(self) -> tuple[int, str] | None:
        """Its exit status and the first line that it said, if it failed by itself."""
        self._await_end()
        code = self.process.poll()
        if not code or self._ended_here:
            return None
        assert self.process.stderr
        errors = self.process.stderr.fileno()
        os.set_blocking(errors, False)
        with suppress(BlockingIOError):  # what it started may still hold the other end
            self._hear(errors)
        lines = self._said.decode(errors="replace").splitlines()
        return code, next(filter(None, map(str.strip, lines)), "")[:_LINE]
