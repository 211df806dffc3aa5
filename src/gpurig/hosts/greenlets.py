"""Each host of a run is a greenlet: what waits for one host holds up no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended, as shells have it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heard() -> list[int]:
    """
    The signals that end a run: all, but for a hangup under nohup.

    A script's shell starts `gpurig &` with SIGINT ignored. A person who sends SIGINT to that run
    wants it to end, so gpurig does not ignore it.
    """
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [each for each in _SIGNALS if not (nohup and each == signal.SIGHUP)]


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

    with _woken():
        before = {each: signal.signal(each, interrupt) for each in heard()}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextmanager
def _woken() -> Iterator[None]:
    """
    A signal wakes gevent's loop, by a byte that Python writes the moment that it comes.

    Python runs a handler between two of its own steps. A signal that comes after gevent's last one
    before it waits has to wait with it, for ever where nothing else happens.
    """
    import gevent

    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    watcher = gevent.get_hub().loop.io(woken, 1, ref=False)
    watcher.start(os.read, woken, 4096)
    before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        watcher.close()
        os.close(woken)
        os.close(wakes)
