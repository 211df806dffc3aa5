"""A host under guard, seen from here: commands go there, and what it tells comes back."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any

import gevent
import gevent.queue
from gevent.lock import BoundedSemaphore
from pyinfra import logger

from gpurig.contract.limits import MB
from gpurig.contract.shape import fits
from gpurig.engine.runner import Link
from gpurig.errors import HostError
from gpurig.hosts.answer import Flooded
from gpurig.hosts.exchange import BROKEN, LineRoom, Room, lines
from gpurig.training.agent import MARK

SILENCE = 12  # seconds without a word from a host after which it is taken for dead
BEAT = 1  # seconds between our own words to it
LONGEST = 2 * MB  # bytes of one line of the guard's, who cuts what programs say
PIECE = 1 << 16  # bytes of a file that go in one line: a slow line has time for them
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

# What a host may tell, by key; `fits` refuses anything else, whoever is at work there.
_SHAPES = {
    "run": int, "exit": int, "out": str, "err": str, "ask": int, "host": str, "command": str,
    "dropped": int, "begun": bool,
}  # fmt: skip
_WITH = {"exit": {"run"}, "out": {"run"}, "err": {"run"}, "ask": {"host", "command"}}

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
        self.ended = self.gone = self._flooded = False
        self._runs, self._folder = 0, ""
        self._writing = BoundedSemaphore()  # a heartbeat within a long line would break it
        self._running = link.begin(f"exec {shlex.join([python, '-I', '-S', '-c', _READ])}")
        text = (files("gpurig.training") / "agent.py").read_bytes()
        self._write(b"\0" + text + b"\0")
        self._greenlets = [gevent.spawn(self._listen), gevent.spawn(self._beat)]

    def prepare(self, **job: Any) -> None:
        """Make the private folder; docs of its parts in `agent.Guard`."""
        self._folder = str(job["folder"])
        self._say("prepare", **job)

    def put(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A file of the private folder, in pieces, each of which the host has time for."""
        for start in range(0, max(1, len(data)), PIECE):
            piece = base64.b64encode(data[start : start + PIECE]).decode()
            self._say("put", file=name, data=piece, mode=mode)

    def begin(self) -> None:
        """All is there: the folder becomes the user's, and commands can run."""
        self._say("begin")

    def drop(self) -> None:
        """What programs wrote goes with all else; without this word it stays on the host."""
        self._say("drop")

    def run(self, words: Sequence[str], environment: Mapping[str, str], folder: str = "") -> int:
        """Start a command as the user; its number, under which its lines and end are told."""
        self._runs += 1
        given = dict(environment)
        self._say("run", run=self._runs, words=list(words), environment=given, folder=folder)
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
        with suppress(*BROKEN):
            self._running.stdin.close()

    def wait(self) -> bool:
        """Whether the host said in time that nothing is left there."""
        self._greenlets[0].join(ENDING if self.alive else 0)
        self._greenlets[0].kill()
        with gevent.Timeout(SILENCE, False):
            self._running.close()
        del self._running  # paramiko's files complain where they are left to the garbage collector
        return self.ended

    @property
    def alive(self) -> bool:
        return time.monotonic() - self.heard < SILENCE

    def lost(self) -> HostError:
        """The sentence for a host that does not answer any more."""
        self.gone = True
        if self._flooded:
            what = f"it printed a line of more than {LONGEST // MB} MB"
            return HostError("training-lost", what, self.name, "check what runs there", self.name)
        said: list[str] = []
        if self.alive:  # the connection ended in order: it may have said why
            with gevent.Timeout(SILENCE, False), suppress(*BROKEN, Flooded):
                said = [line for line in lines(self._running.err, Room(MB)) if line.strip()]
        why = f" ({said[-1].strip()})" if said else ""
        what = f"the connection to the host broke during the training{why}"
        do = "check its console"
        if self._folder:
            do += f"; what the program has saved stays there, in {self._folder}/work"
        return HostError("training-lost", what, self.name, do, host=self.name)

    def _say(self, what: str, **more: Any) -> None:
        line = json.dumps({"gpurig": what} | more)
        assert line.startswith(MARK)
        self._write(f"{line}\n".encode())

    def _write(self, data: bytes) -> None:
        # A host that is gone, or reads nothing, is found by its silence.
        with gevent.Timeout(SILENCE, False), suppress(*BROKEN), self._writing:
            self._running.stdin.write(data)
            self._running.stdin.flush()

    def _beat(self) -> None:
        while True:
            gevent.sleep(BEAT)
            self._write(b"\n")

    def _listen(self) -> None:
        try:
            for line in lines(self._running.out, LineRoom(LONGEST)):
                self.heard = time.monotonic()
                if (told := _told(line)) is None:
                    logger.debug("%s: no word of its guard: %s", self.name, line)
                    continue
                self.ended = self.ended or "ended" in told
                self.told.put((self, told))
        except BROKEN:
            pass  # as at the end
        except Flooded:
            self._flooded = True
        self.told.put((self, None))


def _told(line: str) -> dict[str, Any] | None:
    """What a line of the guard's says; None where it says something that no guard does."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    right = all(fits(told[key], kind) for key, kind in _SHAPES.items() if key in told)
    return told if right and all(told.keys() >= _WITH.get(key, set()) for key in told) else None
