"""What a host prints on one stream, and which bytes of it are the answer of a command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from gevent.event import Event

PIECE = 1 << 16  # bytes that are read at once
TAIL = 8192  # bytes that are kept of what is no answer: the reason, if there is none

Read = Callable[[], bytes]  # the next bytes of a stream, none at its end


class Flooded(Exception):
    """More came than is read."""


class Stream:
    """
    One stream of a command: what comes between the marks of its frame is its answer.

    + marks: after how many its answer begins; where the last does not come, after the first
    + began: set when the first has come; before: the last of what came before it
    + since: when that was, or when we began to wait for it
    + status: what the mark at the end tells, None while there is none
    """

    def __init__(self, read: Read, mark: bytes, marks: int) -> None:
        self.began, self.since, self.before = Event(), time.monotonic(), b""
        self.status: int | None = None
        self._read, self._mark, self._left = read, mark, marks
        self._whole = re.compile(re.escape(mark) + rb"(?: (\d{1,3}))?\n")
        self._partial = re.compile(re.escape(mark) + rb" ?\d{0,3}")
        self._raw, self._passed, self._ended = b"", 0, False
        self._answer = b""  # what `begin` has met already

    @property
    def answers(self) -> bool:
        """Whether all marks before the answer have come."""
        return not self._left

    def begin(self) -> bool:
        """Read up to the first mark; whether there is one."""
        while not self.began.is_set() and not self._ended:
            self._answer += self._next()
        return bool(self.began.is_set())

    def read(self) -> bytes:
        """The next bytes of the answer; none at its end."""
        answer, self._answer = self._answer, b""
        while not answer and not self._ended:
            answer = self._next()
        return answer

    def _next(self) -> bytes:
        """What the next bytes add to the answer."""
        if piece := self._read():
            self._raw += piece
            return self._parsed()
        self._ended = True
        if self.began.is_set():
            return self._raw
        self.before = self._raw
        return b""

    def _parsed(self) -> bytes:
        answer = b""
        while found := self._whole.search(self._raw):
            before, self._raw = self._raw[: found.start()], self._raw[found.end() :]
            if not self.began.is_set():
                self.before = before
                self.began.set()
                self.since = time.monotonic()
                self._left -= 1
            elif found[1]:
                self.status, self._ended = int(found[1]), True
                return answer + before
            elif self._left:
                self._left -= 1
            else:
                answer += before
        if self._left:
            self._forget()
            return answer
        at = self._unsure()
        answer, self._raw = answer + self._raw[:at], self._raw[at:]
        return answer

    def _forget(self) -> None:
        """Of what is no answer the end is enough."""
        gone, self._raw = self._raw[:-TAIL], self._raw[-TAIL:]
        self._passed += len(gone)
        if self._passed > 16 * PIECE:
            raise Flooded

    def _unsure(self) -> int:
        """From where on it may be the beginning of a mark."""
        raw, mark = self._raw, self._mark
        for at in range(max(0, len(raw) - len(mark) - 4), len(raw)):
            if mark.startswith(raw[at:]) or self._partial.fullmatch(raw, at):
                return at
        return len(raw)
