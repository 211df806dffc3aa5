"""sudo's passwords as a person types them: for one host after the other, three tries for each."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Callable

from gevent.lock import BoundedSemaphore
from gevent.socket import wait_read

from gpurig.errors import HostError
from gpurig.hosts.sudo import PasswordWanted
from gpurig.settings.redaction import Redaction

TRIES = 3  # as many as sudo gives
_LONGEST = 4096  # bytes; a terminal hands over no longer line

Typed = Callable[[str], str | None]


def typed(prompt: str) -> str | None:
    """
    One line from the terminal, which does not show it; None where nobody is there to type.

    Other hosts go on meanwhile, and Ctrl-C gives the terminal back as it was.
    """
    if not sys.stdin.isatty():
        return None
    try:
        line = _typed(prompt)
    except (OSError, termios.error):  # no terminal of this process, or it is gone
        return None
    return line.decode(errors="surrogateescape").rstrip("\n") if line else None


def _typed(prompt: str) -> bytes:
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    before = termios.tcgetattr(terminal)
    unseen = [*before]
    unseen[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, unseen)
        os.write(terminal, prompt.encode())
        wait_read(terminal)
        return os.read(terminal, _LONGEST)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        os.write(terminal, b"\n")
        os.close(terminal)


class Passwords:
    """
    The passwords of one run; they are kept in memory and nowhere else.

    + typed: asks for one line with a prompt; None where nobody answers
    """

    def __init__(self, typed: Typed = typed) -> None:
        self._typed, self._turn = typed, BoundedSemaphore()
        self._last = "", ""  # host and password that its sudo took

    def ask(
        self, user: str, host: str, refused: PasswordWanted, right: Callable[[str], bool]
    ) -> str:
        """
        The password that sudo takes.

        + refused: what is the case where nobody is asked
        + right: whether sudo takes it; what it raises ends the asking

        HostError after three wrong ones.
        """
        with self._turn:
            who, (before, known) = f"the password of {user} on {host}", self._last
            more = f" (Enter: the one of {before})" if before else ""
            told = f"sudo needs {who}{more}: "
            for _ in range(TRIES):
                password = self._typed(told)
                if password is None:
                    raise refused
                password = password or known
                if right(password):
                    Redaction.learn(password)
                    self._last = host, password
                    return password
                told = f"sudo refuses it; try again, {who}: "
                known = ""
        raise HostError(
            "sudo-refused",
            f"sudo refuses the password of {user}, {TRIES} times",
            where=host,
            do="check the password, or log in as root",
            host=host,
        )
