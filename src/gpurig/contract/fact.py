"""The contract of a fact: its command exits 0, its parser never raises, nothing is guessed."""

from __future__ import annotations

import re
import shlex
from typing import Any, TypeVar, overload

from pyinfra import host
from pyinfra.api import FactBase, StringCommand

from gpurig.contract.limits import Limits
from gpurig.contract.values import Absent, Unknown

T = TypeVar("T")

_FRAME = "gpurig-exit:"
_LATE = "gpurig-late:"
_UNREAD = "gpurig-unread:"
# What reading text of somebody else's can raise: JSON may nest without end or have other types.
_UNEXPECTED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def late(limits: Limits) -> str:
    """What is put in place of the output of a fact that did not answer in time."""
    return f"{_LATE}no answer within {limits.fact} s; {limits.raised('fact')}"


# Tools that every host has. Each has only one status with which it answers, 0: where something may
# not be there, a script looks before it asks. Not grep, which says "no" as one that died does.
WATCHED = (
    "awk", "base64", "cat", "cut", "date", "df", "du", "env", "find", "head", "id", "ls", "mktemp",
    "od", "readlink", "sed", "sha256sum", "sort", "stat", "tail", "tr", "uname", "xargs",
)  # fmt: skip

# What a tool did not answer is no answer, in a pipe either: its name goes past all pipes to the
# fact's own output, and the fact is Unknown.
_UNANSWERED = rf"""exec 9>&1
unread() {{ printf '\n{_UNREAD}%s\n' "$*" >&9; }}
failed() {{ [ "$2" = 141 ] || unread "$1" "$2"; return "$2"; }}
must() {{ command "$@" 9>&- || failed "$1" $?; }}
"""
# What scripts may use beside those four, by its name.
#
# unread TOOL STATUS, unread : SENTENCE: the fact is Unknown. failed TOOL STATUS: the same, but for
#   141: nobody reads on, as in `sed … | head -n 1`. must TOOL …: it has to end with 0.
# may TOOL …: it may fail, if it says why.
# tool NAME PACKAGE…: whether the host has it. A host that has one of the packages has lost it: what
#   it knows is not known, and not absent.
# entry DATABASE NAME: whether there is such a user or group, and its entry.
# into FOLDER: go there, or say that there is none. One that is there and cannot be entered, such as
#   a mount whose server is gone, is not absent.
_HELPERS = {
    "may": r"""may() {
    { why=$("$@" 2>&1 >&8 8>&- 9>&-); status=$?; } 8>&1
    [ "$status" = 0 ] || { [ "$status" -lt 124 ] && [ -n "$why" ]; } || unread "$1" "$status"
    return "$status"
}
""",
    "tool": r"""tool() {
    command -v "$1" >/dev/null && return
    (
        name=$1
        shift
        for package in "$@"; do
            lost="the package $package is installed and its command $name is not found"
            lost="$lost; reinstall it"
            {
                for list in /var/lib/dpkg/info/$package.list /var/lib/dpkg/info/$package:*.list; do
                    [ ! -e "$list" ] || command cat "$list"
                done
                ! command -v rpm >/dev/null || rpm -ql "$package" 2>/dev/null
            } | while read -r file; do
                case $file in
                    */bin/"$name"|*/sbin/"$name"|*/nvidia/*/"$name") unread ": $lost" ;;
                esac
            done
        done
    )
    return 1
}
""",
    "entry": r"""entry() {
    getent "$1" -- "$2"
    status=$?
    [ "$status" = 0 ] || [ "$status" = 2 ] || unread getent "$status"
    return "$status"
}
""",
    "into": r"""into() {
    cd "$1" 2>/dev/null && return
    why=$(LC_ALL=C command ls -d -- "$1/." 2>&1)
    case $why in
        *"No such file"*|*"Not a directory"*) ;;
        *) unread ": $1 cannot be entered (${why##*: })" ;;
    esac
    return 1
}
""",
}
_NAMES = re.compile(r"[A-Za-z0-9_.-]+")


def framed(script: str | StringCommand) -> StringCommand:
    """
    A shell script that always exits 0 and ends its output with its own exit status.

    pyinfra drops a host whose fact failed and calls no parser for empty output; framed output
    is never empty, and an output that was cut off is told from one that ended. A tool that fails
    in it makes the fact Unknown, see `WATCHED`.
    """
    named = set(_NAMES.findall(StringCommand(script).get_raw_value()))
    tools = [f'{name}() {{ must {name} "$@"; }}\n' for name in WATCHED if name in named]
    helpers = [text for name, text in _HELPERS.items() if name in named]
    start = "".join([_UNANSWERED, *tools, *helpers])
    return StringCommand(f"({start}", script, f"\n); printf '\\n{_FRAME}%s\\n' $?")


def words(text: str) -> str:
    """Words that blanks separate, each as one word of a shell's."""
    return " ".join(map(shlex.quote, text.split()))


def _reason(told: str) -> str:
    """The sentence of ``TOOL STATUS`` or ``: SENTENCE``, as `unread` has them."""
    tool, _, rest = told.partition(" ")
    if tool == ":":
        return rest
    if rest == "127":
        return f"the host has no command {tool}"
    code = int(rest) if rest.isascii() and rest.isdigit() else 1
    if 128 < code < 193:
        return f"the host's {tool} was killed (signal {code - 128})"
    return f"the host's {tool} failed (exit status {rest})"


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
        if failed := [line for line in lines if line.startswith(_UNREAD)]:
            return Unknown(_reason(failed[0].removeprefix(_UNREAD)))
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
