"""The way to this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.os import nb_read
from gevent.subprocess import PIPE, Popen

from gpurig.contract.limits import Limits
from gpurig.hosts.answer import PIECE, Read
from gpurig.hosts.transport import Transport


class LocalTransport(Transport):
    """This machine. What is sent to all processes of our own, as a Ctrl-C, ends no work there."""

    def __init__(self, name: str = "this machine", limits: Limits | None = None) -> None:
        super().__init__(name, limits)

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        process = Popen(
            ["/bin/sh", "-c", line], stdin=PIPE, stdout=PIPE, stderr=PIPE, process_group=0
        )

        def close() -> None:
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()

        out, err = (
            partial(nb_read, one.fileno(), PIECE) for one in (process.stdout, process.stderr)
        )
        return process.stdin, out, err, process.wait, close
