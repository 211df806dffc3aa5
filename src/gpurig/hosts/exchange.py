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

BROKEN = (OSError, EOFError, SSHException)
PIECE = 1 << 16  # bytes that are read at once

Read = Callable[[], bytes]  # the next bytes of a stream, none at its end


class Silent(Exception):
    """Nothing came for too long; `begun` says whether the shell had begun with the command."""

    def __init__(self, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class Flooded(Exception):
    """More came than is read."""


class Running:
    """
    A command at work: its streams, how to wait for its status, how to let go of it.

    + mark: a line that the shell prints right before the command; whatever the user's shell prints
      before it (a .bashrc, a banner) is nobody's answer
    """

    def __init__(
        self,
        stdin: Any,
        out: Read,
        err: Read,
        status: Callable[[], int],
        close: Callable[[], None],
        mark: bytes,
    ) -> None:
        self.stdin, self.err, self.status, self.close = stdin, err, status, close
        self.begun = False
        self._read, self._mark = out, mark + b"\n"

    def out(self) -> bytes:
        """The next bytes of what the command prints; where it never began, what came instead."""
        before = b""
        while not self.begun:
            piece = self._read()
            before += piece
            _, found, after = before.partition(self._mark)
            if len(before) > 16 * PIECE:
                raise Flooded
            if not (found or not piece):
                continue
            self.begun = bool(found)
            if after or not piece:
                return after if found else before
        return self._read()


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

    + seconds: how long nothing may come before it has begun, and after
    + on_line: is given the stream's name and each line as it comes
    + keep: whether lines are also part of what is returned
    + beat: after how many seconds each a line is written to it that says that we are here; 0 for
      an input that ends

    Silent or Flooded where a bound is passed, and what `on_line` raises; the caller lets go of the
    command.
    """
    talk = _Talk(running, stdin, room, on_line, keep, beat)
    readers = [gevent.spawn(talk.read, *stream) for stream in talk.streams]
    writer = gevent.spawn(talk.feed)
    try:
        while waiting := [reader for reader in readers if not reader.ready()]:
            left = talk.heard + seconds[running.begun] - time.monotonic()
            if left <= 0:
                raise Silent(running.begun)
            gevent.wait(waiting, timeout=left, count=1)
            if talk.error:
                raise talk.error
        with gevent.Timeout(seconds[1], Silent(running.begun)):
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
                if self.keep:
                    self.told.append(OutputLine(name, line))
        except BROKEN:
            return  # the connection has ended; its status says so
        except Exception as error:
            self.error = error

    def feed(self) -> None:
        # A command may end without reading its input; its status says whether that is bad.
        with suppress(*BROKEN):
            shutil.copyfileobj(self.source, _Heard(self), 1 << 20)
            if self.beat:
                beating(self.running, self.beat)
            self.running.stdin.close()


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
