"""
The standard streams: always open, and neither a full disk nor a reader that left ends a run.

What cannot be printed is dropped and the exit code says so. A run on hosts goes on to its end, with
its report, rather than stop half way because `head` has read enough.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from typing import Any, TextIO

FAILED = 1  # the exit code of a run whose result did not arrive
_WHOLE = (0, 3, 4)  # exit codes that promise one
_MODES = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}


class _Output(io.FileIO):
    """A descriptor that takes all that is written; `lost` says why something did not arrive."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        if self.lost is None:
            try:
                while (written := super().write(data)) is None:
                    time.sleep(0.01)  # another process made the terminal or pipe non-blocking
                return int(written)
            except OSError as error:
                self.lost = error
        return len(data)


_outputs: dict[str, _Output] = {}  # by the stream's name, once it is prepared


def prepare_streams() -> None:
    """
    Open what the caller closed, and let no output fail; call it once, before a file is opened.

    The number of a closed stream would go to the next file that is opened, a run's log, and what is
    printed would go there with it. A closed standard output opens as a file that is only read: so
    whatever is printed is lost, and told as such.
    """
    for name, mode in _MODES.items():
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # somebody else's, such as a test's
        number = stream.fileno() if stream else os.open(os.devnull, mode)
        os.set_inheritable(number, True)
        if name == "stdin":
            sys.stdin = stream or open(number, encoding="utf-8", closefd=False)  # noqa: SIM115
        else:
            setattr(sys, name, _text(name, number, stream))


def _text(name: str, number: int, before: TextIO | None) -> TextIO:
    _outputs[name] = _Output(number, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(_outputs[name]),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=name == "stderr" or os.isatty(number),
    )


def settled(code: int) -> tuple[int, str]:
    """
    The exit code of a program that ends with this one, and why its output did not arrive.

    The reason is empty where everything was printed, and where a reader left on purpose: nobody is
    told that `head` has read enough.
    """
    sys.stdout.flush()
    lost = _outputs["stdout"].lost if "stdout" in _outputs else None
    if lost is None:
        return code, ""
    reason = "" if lost.errno == errno.EPIPE else lost.strerror or str(lost)
    if lost.errno == errno.EBADF:
        reason = "standard output is closed"
    return (FAILED if code in _WHOLE else code), reason
