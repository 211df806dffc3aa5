"""A host under guard, seen from here: commands go there, and what it tells comes back."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any

import gevent
import gevent.queue
from paramiko import SSHException

from gpurig.errors import HostError
from gpurig.runner import Link
from gpurig.training.guard import MARK

SILENCE = 12  # seconds without a word from a host after which it is taken for dead
BEAT = 1  # seconds between our own words to it
ENDING = 30  # seconds that a host has for ending all and removing its folder

# The guard's text is read byte by byte, since what follows it is the guard's own to read; it begins
# after a zero, since the line before may be a password that sudo did not want.
_READ = """
import os, sys
text = b""
while text.count(0) < 2:
    text += os.read(0, 1) or sys.exit("no guard was given")
exec(text.split(b"\\0")[1])
"""

# (host, what it told); what it told is None when its connection has ended.
Told = tuple["Watched", dict[str, Any] | None]


class Watched:
    """
    One host from the first command until nothing of it is left there.

    + python: the interpreter that runs the guard; told: where what the host tells is put
    """

    def __init__(self, link: Link, python: str, told: gevent.queue.Queue[Told]) -> None:
        self.link, self.told = link, told
        self.name = link.spec.name
        self.heard = time.monotonic()
        self.ended = self.gone = False
        self._runs = 0
        self._running = link.begin(f"exec {shlex.join([python, '-I', '-S', '-c', _READ])}")
        text = (files("gpurig.training") / "guard.py").read_bytes()
        self._running.stdin.write(b"\0" + text + b"\0")
        self._running.stdin.flush()
        self._greenlets = [gevent.spawn(self._listen), gevent.spawn(self._beat)]

    def prepare(
        self, user: str, folder: str, files_in_it: Mapping[str, str], relay: str, hosts: str
    ) -> None:
        """Make the private folder with its files; docs of them in `guard.Guard`."""
        files_of_it = dict(files_in_it)
        self._say("prepare", user=user, folder=folder, files=files_of_it, relay=relay, hosts=hosts)

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start a command as the user; its number, under which its lines and end are told."""
        self._runs += 1
        self._say("run", run=self._runs, words=list(words), environment=dict(environment))
        return self._runs

    def answer(self, ask: int, code: int) -> None:
        """How the command ended that a program there asked for on another host."""
        self._say("answer", ask=ask, code=code)

    def end(self, run: int) -> None:
        """End one command."""
        self._say("end", run=run)

    def close(self) -> None:
        """Ask the host to end everything; `wait` waits for it."""
        self._greenlets[1].kill()
        with suppress(OSError, SSHException, EOFError):
            self._running.stdin.close()

    def wait(self) -> bool:
        """Whether the host said in time that nothing is left there."""
        self._greenlets[0].join(ENDING if self.alive else 0)
        self._greenlets[0].kill()
        self._running.close()
        del self._running  # paramiko's files complain where they are left to the garbage collector
        return self.ended

    @property
    def alive(self) -> bool:
        return time.monotonic() - self.heard < SILENCE

    def lost(self) -> HostError:
        """The sentence for a host that does not answer any more."""
        self.gone = True
        said = ""
        if self.alive:  # the connection ended in order: it may have said why
            with suppress(OSError, SSHException, EOFError):
                said = "".join(map(_text, self._running.stderr)).strip()
        why = f" ({said.splitlines()[-1]})" if said else ""
        what = f"the host is gone: its connection broke while it trained{why}"
        return HostError("training-lost", what, self.name, "look at its console", host=self.name)

    def _say(self, what: str, **more: Any) -> None:
        line = json.dumps({"gpurig": what} | more)
        assert line.startswith(MARK)
        self._write(line)

    def _write(self, line: str) -> None:
        # A host that is gone is found by its silence.
        with suppress(OSError, SSHException, EOFError):
            self._running.stdin.write(f"{line}\n".encode())
            self._running.stdin.flush()

    def _beat(self) -> None:
        while True:
            gevent.sleep(BEAT)
            self._write("")

    def _listen(self) -> None:
        with suppress(OSError, SSHException, EOFError):
            for raw in self._running.stdout:
                self.heard = time.monotonic()
                told = json.loads(_text(raw))
                self.ended = self.ended or "ended" in told
                self.told.put((self, told))
        self.told.put((self, None))


def _text(line: str | bytes) -> str:
    return line if isinstance(line, str) else line.decode("utf-8", "replace")
