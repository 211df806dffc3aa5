"""Each host of a run is a greenlet: what waits for one host holds up no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended, as shells have it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def patch() -> None:
    """Make Python's own modules wait so; called before anything is imported that opens a socket."""
    import gevent.monkey

    gevent.monkey.patch_all()


@contextmanager
def interruptible() -> Iterator[None]:
    """
    Ctrl-C, a closed terminal and `kill` reach the caller as KeyboardInterrupt, once.

    The second time the process ends at once. Python itself would raise it in whichever greenlet is
    at work, and gevent prints what it finds in its own.
    """
    import gevent

    caller, asked = gevent.getcurrent(), []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            os._exit(INTERRUPTED)
        if gevent.getcurrent() is caller:
            raise KeyboardInterrupt
        gevent.kill(caller, KeyboardInterrupt)

    before = {each: signal.signal(each, interrupt) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
