"""One command's talk with us, within bounds: its input goes in, its lines come out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any, BinaryIO

import gevent
from paramiko import SSHException
from pyinfra.connectors.util import CommandOutput, OutputLine

from gpurig.contract.limits import LINE
from gpurig.hosts.answer import PIECE, Flooded, Read, Stream
from gpurig.hosts.frame import Frame

BROKEN = (OSError, EOFError, SSHException)
PROMPTED = b"\n" * 8  # for a profile that reads its input
LOST = -1  # the status of a command whose end was not told


class Unbegun(Exception):
    """A shell that did not run the command; `said` is the last line that it printed."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


class Silent(Exception):
    """Nothing came for too long; `begun` says whether the shell had begun with the command."""

    def __init__(self, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class Running:
    """
    A command at work: its streams, how to wait for its status, how to let go of it.

    + frame: what was put around it; marks: how many its answer begins with
    """

    def __init__(
        self,
        stdin: Any,
        out: Read,
        err: Read,
        status: Callable[[], int],
        close: Callable[[], None],
        frame: Frame,
        marks: int = 1,
    ) -> None:
        self.stdin, self.close, self._status = stdin, close, status
        self.input_mark = frame.input_mark
        self._out, self._err = (Stream(read, frame.mark, marks) for read in (out, err))
        self.out, self.err, self.began = self._out.read, self._err.read, self._out.began

    @property
    def since(self) -> float:
        """When it began, or, until then, when it was asked for; of `time.monotonic`."""
        return self._out.since

    @property
    def begun(self) -> bool:
        """Whether the command itself began; under sudo that is later than its shell."""
        return self._out.answers

    def begin(self) -> None:
        """Wait until the command reads its input; Unbegun where no shell runs it."""
        self._write(PROMPTED)
        if not self._out.begin():
            raise Unbegun(self._said())
        self._write(self.input_mark)

    def status(self) -> int:
        """
        Its exit status, once both streams have ended; `LOST` where its end was not told.

        Unbegun where no shell ran it, or one that does not keep errors apart.
        """
        told = self._out.status
        if not self.began.is_set() or (told is not None and not self._err.began.is_set()):
            raise Unbegun(self._said())
        return told if told is not None else self._status() or LOST

    def _write(self, data: bytes) -> None:
        with suppress(*BROKEN):  # a command that has ended reads nothing
            self.stdin.write(data)
            self.stdin.flush()

    def _said(self) -> str:
        if self.began.is_set():
            return "its errors are not kept apart from its output"
        text = b"\n".join((self._out.before, self._err.before)).decode("utf-8", "replace")
        said = [line.strip() for line in text.splitlines() if line.strip()]
        return said[-1] if said else "it printed nothing"


class Room:
    """How much may still be read; `take` raises Flooded when it is used up."""

    def __init__(self, left: float) -> None:
        self.left = left

    def take(self, piece: bytes) -> None:
        self.left -= len(piece) + LINE * piece.count(b"\n")
        if self.left < 0:
            raise Flooded


class LineRoom(Room):
    """How long one line may be, of a stream that has no end of its own."""

    def __init__(self, left: float) -> None:
        super().__init__(left)
        self.whole = left

    def take(self, piece: bytes) -> None:
        if b"\n" in piece:
            self.left = self.whole
        super().take(piece[piece.rfind(b"\n") + 1 :])


def lines(read: Read, room: Room) -> Iterator[str]:
    """What a stream says, line by line; bytes that are no UTF-8 become U+FFFD."""
    kept = bytearray()
    while piece := read():
        room.take(piece)
        kept += piece
        if b"\n" in piece:
            *whole, kept = kept.split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
    if kept:
        yield kept.decode("utf-8", "replace")


def follow(
    running: Running,
    stdin: bytes | BinaryIO,
    seconds: tuple[float, float],
    room: Room,
    on_line: Callable[[str, str], None],
    keep: bool = True,
    beat: float = 0,
) -> tuple[int, CommandOutput]:
    """
    Follow a command to its end: its status and its lines.

    + stdin: its input; without one, and without `beat`, its input has ended before it begins
    + seconds: how long it may take until it begins, and how long nothing may come after that
    + on_line: is given the stream's name and each line as it comes
    + keep: whether what it prints is also part of what is returned; what it says on standard error
      always is
    + beat: after how many seconds each a line is written to it that says that we are here; 0 for
      an input that ends

    Silent or Flooded where a bound is passed, Unbegun where no shell runs it, and what `on_line`
    raises; the caller lets go of the command.
    """
    talk = _Talk(running, stdin, room, on_line, keep, beat)
    readers = [gevent.spawn(talk.read, *stream) for stream in talk.streams]
    writer = gevent.spawn(talk.feed)
    try:
        while waiting := [reader for reader in readers if not reader.ready()]:
            begun = running.began.is_set()
            left = max(talk.heard, running.since) + seconds[begun] - time.monotonic()
            if left <= 0:
                raise Silent(begun)
            gevent.wait(waiting, timeout=left, count=1)
            if talk.error:
                raise talk.error
        with gevent.Timeout(seconds[1], Silent(True)):
            return running.status(), CommandOutput(talk.told)
    finally:
        gevent.killall([*readers, writer], block=False)


class _Talk:
    def __init__(
        self,
        running: Running,
        stdin: bytes | BinaryIO,
        room: Room,
        on_line: Callable[[str, str], None],
        keep: bool,
        beat: float,
    ) -> None:
        self.running, self.room, self.on_line, self.keep = running, room, on_line, keep
        self.beat = beat
        self.source = BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        self.reads = bool(stdin or beat)
        self.streams = ("stdout", running.out), ("stderr", running.err)
        self.told: list[OutputLine] = []
        self.heard = time.monotonic()
        self.error: Exception | None = None

    def read(self, name: str, read: Read) -> None:
        def heard() -> bytes:
            piece = read()
            self.heard = time.monotonic()
            return piece

        try:
            for line in lines(heard, self.room):
                self.on_line(name, line)
                if self.keep or name == "stderr":
                    self.told.append(OutputLine(name, line))
        except BROKEN:
            return  # the connection has ended; its status says so
        except Exception as error:
            self.error = error

    def feed(self) -> None:
        # A command may end without reading its input; its status says whether that is bad.
        running = self.running
        with suppress(*BROKEN):
            if self.reads:
                running.stdin.write(PROMPTED)
                running.stdin.flush()
                running.began.wait()  # a profile that reads must not get it
                running.stdin.write(running.input_mark)
                shutil.copyfileobj(self.source, _Heard(self), 1 << 20)
            if self.beat:
                beating(running, self.beat)
            running.stdin.close()


def beating(running: Running, seconds: float) -> None:
    """Write a line to a command as often as this, until it no longer reads; see `attended`."""
    while True:
        running.stdin.flush()
        gevent.sleep(seconds)
        running.stdin.write(b"\n")


class _Heard:
    """The command's input; that it reads on is a sign of life as well."""

    def __init__(self, talk: _Talk) -> None:
        self.talk = talk

    def write(self, data: bytes) -> int:
        for start in range(0, len(data), PIECE):
            self.talk.running.stdin.write(data[start : start + PIECE])
            self.talk.heard = time.monotonic()
        return len(data)
