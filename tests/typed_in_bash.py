"""
A program: prints what an interactive bash shows for its first argument, typed at a terminal.

A process of its own, since a terminal's child and gevent, which other tests bring, get in each
other's way.
"""

from __future__ import annotations

import os
import pty
import select
import sys
import time

PIECES = ("source <(gpurig completion bash); echo re''ady\n", sys.argv[1], "\x03 exit\n")


def main() -> None:
    """bash in the current folder, with the PATH of this process."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null", "COLUMNS": "200"}
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    shown = b""
    for piece in PIECES:
        os.write(terminal, piece.encode())
        until = time.monotonic() + 60
        still = 4.0 if piece == PIECES[1] else 0.0
        while time.monotonic() < until:
            ready, _, _ = select.select([terminal], [], [], still or 1.0)
            try:
                shown += os.read(terminal, 4096) if ready else b""
            except OSError:  # bash has ended
                break
            if (still and not ready) or (not still and b"\nready" in shown):
                break
    os.close(terminal)
    os.waitpid(child, 0)
    sys.stdout.buffer.write(shown)


if __name__ == "__main__":
    main()
