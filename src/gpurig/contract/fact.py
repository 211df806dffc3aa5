"""The contract of a fact: its command exits 0, its parser never raises, nothing is guessed."""

from __future__ import annotations

import shlex
from typing import Any, TypeVar, overload

from pyinfra import host
from pyinfra.api import FactBase, StringCommand

from gpurig.contract.limits import Limits
from gpurig.contract.values import Absent, Unknown

T = TypeVar("T")

_FRAME = "gpurig-exit:"
_LATE = "gpurig-late:"
# What reading text of somebody else's can raise: JSON may nest without end or have other types.
_UNEXPECTED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def late(limits: Limits) -> str:
    """What is put in place of the output of a fact that did not answer in time."""
    return f"{_LATE}no answer within {limits.fact} s; {limits.raised('fact')}"


def framed(script: str | StringCommand) -> StringCommand:
    """
    A shell script that always exits 0 and ends its output with its own exit status.

    pyinfra drops a host whose fact failed and calls no parser for empty output; framed output
    is never empty, and an output that was cut off is told from one that ended.
    """
    return StringCommand("(", script, f"\n); printf '\\n{_FRAME}%s\\n' $?")


def words(text: str) -> str:
    """Words that blanks separate, each as one word of a shell's."""
    return " ".join(map(shlex.quote, text.split()))


class Fact(FactBase[T | Absent | Unknown]):
    """
    A fact of gpurig: a value, ``ABSENT``, or ``Unknown(reason)``.

    Subclasses define ``command(self, …)`` returning `framed` (…), and `parse`.
    Values are plain JSON data (dict, list, str, int, bool), so that they can be saved and read.
    """

    def parse(self, lines: list[str], code: int) -> T | Absent | Unknown:
        """The value of these output lines and exit status; may raise what `_UNEXPECTED` lists."""
        raise TypeError(f"{type(self).__name__} does not say how its output is read")

    def process(self, output: list[str]) -> T | Absent | Unknown:
        lines = list(output)
        while lines and not lines[-1].strip():
            lines.pop()
        frame, _, status = lines.pop().partition(":") if lines else ("", "", "")
        if f"{frame}:" == _LATE:
            return Unknown(status)
        if f"{frame}:" != _FRAME or not (status.isascii() and status.isdigit()):
            return Unknown("the output was cut off")
        code = int(status)
        if lines and not lines[-1]:  # the newline that printf puts before the frame
            lines.pop()
        try:
            return self.parse(lines, code)
        except _UNEXPECTED as error:
            return Unknown(f"unexpected output: {error}")


class Always(Fact[T]):
    """A fact of what every host has: a value or ``Unknown(reason)``, never ``ABSENT``."""

    def parse(self, lines: list[str], code: int) -> T | Unknown:
        raise TypeError(f"{type(self).__name__} does not say how its output is read")


@overload
def read(fact: type[Always[T]], **arguments: Any) -> T | Unknown: ...
@overload
def read(fact: type[Fact[T]], **arguments: Any) -> T | Absent | Unknown: ...
def read(fact: type[Fact[T]], **arguments: Any) -> T | Absent | Unknown:
    """The fact's value on the current host; a broken transport is Unknown, never nothing."""
    value = host.get_fact(fact, **arguments)
    if value is None:
        return Unknown("the connection broke during the reading")
    return value
