"""How commands become root by sudo, and what it means where sudo does not start one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from gpurig.errors import HostError
from gpurig.hosts.frame import under_sudo

REFUSED = 1  # the status of sudo and of sudo-rs where they start nothing
NOT_FOUND = 127  # the shell's, of a command that is not there

_SUDO = "sudo -H"

_NEEDED = "sudo needs a password"
_WRONG = "sudo refuses the password"
_SET = "set _sudo_password for this host, run gpurig on a terminal, or log in as root"
_CHECK = "check _sudo_password"
_MISSING = "gpurig needs root, and the host has no sudo", "log in as root, or install sudo"

# What sudo 1.8 and 1.9 and sudo-rs say without a language of their own, and what it comes to.
_SAID = (
    (re.compile("you must have a tty|a terminal is required to run"),
     "sudo there works on a terminal only (requiretty)",
     "add `Defaults:USER !requiretty` to its sudoers, or log in as root"),
    (re.compile("not in the sudoers file|may not run sudo|is not allowed to execute"
                "|I'm afraid I can't do that"),
     "this user may not use sudo", "log in as root or as a user who may use sudo"),
    (re.compile("sudo(: command)?: not found|'sudo': No such file"),
     *_MISSING),
    (re.compile("incorrect password|Sorry, try again|incorrect authentication attempt"
                "|Authentication failed"), _WRONG, _CHECK),
    (re.compile("a password is required|authentication is required"), _NEEDED, _SET),
)  # fmt: skip


class PasswordWanted(HostError):
    """sudo starts nothing without a password, or without another one."""


def with_sudo(
    line: str, user: str | None, password: str | None, data: bytes, keep_stdin: bool = False
) -> tuple[str, bytes]:
    """
    The line under sudo, and its stdin. The password is sudo's first line of stdin.

    Without a password only what sudo always allows works, whatever was typed there a minute ago
    (``-k``, which leaves that as it is): so the first command tells whether a run needs one.
    """
    who = f" -u {shlex.quote(user)}" if user else ""
    if not password:
        return f"{_SUDO} -k -n{who} -- {under_sudo(line)}", data
    # Where sudo asks for none after all, the password line must not reach the command's stdin.
    inner = under_sudo(line if keep_stdin else f"exec </dev/null; {line}")
    return (
        f"{_SUDO} -S -k -p ''{who} -- {inner}",
        f"{password}\n".encode(errors="surrogateescape") + data,
    )


def sudo_error(host: str, lines: Sequence[str]) -> HostError | None:
    """The sentence for a sudo that refused, if that is what these lines say."""
    text = "\n".join(lines)
    for words, what, do in _SAID:
        if words.search(text):
            kind = PasswordWanted if what in (_NEEDED, _WRONG) else HostError
            return kind("sudo-refused", what, where=host, do=do, host=host)
    return None


def not_started(host: str, code: int, lines: Sequence[str], given: bool) -> HostError | None:
    """
    What it comes to that a command under sudo did not start, whatever language sudo speaks.

    + code, lines: the status and what was printed; given: whether sudo was given a password
    """
    if said := sudo_error(host, lines):
        return said
    if code == NOT_FOUND:
        return HostError("sudo-refused", _MISSING[0], host, _MISSING[1], host)
    if code != REFUSED:
        return None
    own = [line.strip() for line in lines if line.strip()]
    what = (_WRONG if given else _NEEDED) + (f" ({own[-1]})" if own else "")
    return PasswordWanted("sudo-refused", what, host, _CHECK if given else _SET, host)
