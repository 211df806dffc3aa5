"""Each host of a run is a greenlet: what waits for one host holds up no other."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

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
    """
    Make Python's own modules wait so; called before anything is imported that opens a socket.

    From then on Ctrl-C, a closed terminal and `kill` reach the caller as KeyboardInterrupt, once;
    the second time the process ends at once. Python itself would raise it in whichever greenlet is
    at work, and gevent prints what it finds in its own.
    """
    import gevent.monkey

    gevent.monkey.patch_all()
    _hear(gevent.getcurrent())


def _hear(caller: Any) -> None:
    import logging  # noqa: F401  # it has callbacks of fork, which run within those set below

    import gevent

    asked: list[int] = []
    forking: list[bool] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            os._exit(INTERRUPTED)
        if gevent.getcurrent() is caller and not forking:
            raise KeyboardInterrupt
        gevent.kill(caller, KeyboardInterrupt)

    def dropped(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            gevent.kill(caller, KeyboardInterrupt)
        else:
            sys.__unraisablehook__(unraisable)

    # Python drops what is raised in a callback of fork: Ctrl-C would be lost, and logging's lock
    # would stay taken for ever. It drops what is raised in a finalizer as well.
    os.register_at_fork(before=lambda: forking.append(True), after_in_parent=forking.clear)
    sys.unraisablehook = dropped
    _wake()
    for each in heard():
        signal.signal(each, interrupt)


def _wake() -> None:
    """
    A signal wakes gevent's loop, by a byte that Python writes the moment that it comes.

    Python runs a handler between two of its own steps. A signal that comes after gevent's last one
    before it waits has to wait with it, for ever where nothing else happens.
    """
    import gevent

    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    gevent.get_hub().loop.io(woken, 1, ref=False).start(os.read, woken, 4096)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
