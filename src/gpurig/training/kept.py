"""All lines of a training, kept in the folder of its run as they come."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from gpurig.report.shown import shown_line
from gpurig.settings.redaction import Redaction

LAST = 400  # lines of which the page shows that many


class Kept:
    """
    A file that takes lines.

    + redacted: takes secrets out of them; last: the newest lines
    + cut: why the file ends before the training did, such as a full disk, or empty
    """

    def __init__(self, out: TextIO, redacted: Redaction) -> None:
        self._out, self._redacted = out, redacted
        self.last: deque[str] = deque(maxlen=LAST)
        self.cut = ""

    def line(self, host: str, text: str) -> None:
        """One line of a host."""
        told = shown_line(self._redacted(f"{host} | {text}"))
        self.last.append(told)
        if self.cut:
            return
        try:
            self._out.write(f"{datetime.now():%H:%M:%S} {told}\n")
            self._out.flush()
        except OSError as error:  # the training goes on
            self.cut = error.strerror or str(error)


@contextmanager
def kept(file: Path, redacted: Redaction) -> Iterator[Kept]:
    """A new file for the user alone."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Not by `with`: it closes by writing, which fails on a full disk after all else is done.
    out = open(opened, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    try:
        yield Kept(out, redacted)
    finally:
        with suppress(OSError):  # what could not be written is told already
            out.close()
