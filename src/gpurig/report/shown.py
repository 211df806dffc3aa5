"""
The one edge at which text leaves for people and reports: what could act there is shown as escapes.

Hosts and programs (uv, apt, training programs) may say anything. Inside, their text stays exactly
as it came, since programs read it again: facts are parsed, a user's daemon.json is merged and
written back byte for byte, a path is used. It becomes dangerous where a terminal, a browser or a CI
system reads it, and that is here: the screen, what is printed, the log and the three reports all
write what `shown` gives, and tests/test_shown.py finds whatever in gpurig prints without it.
"""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
import traceback
import unicodedata
from collections.abc import Iterable
from types import TracebackType
from typing import Any

# Unicode's categories of what acts or is not seen: control, format (bidi marks among them), lone
# surrogates, separators of lines and paragraphs. The two joiners belong to how scripts are written.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_KEPT = "\t\n\u200c\u200d"
_NARROW = 20  # columns in which nothing is gained by wrapping


def shown(text: str) -> str:
    r"""
    The text with `\x1b`, `\u202e` and the like for each character that acts or is not seen.

    Tab and newline stay. It is for reading: a backslash of the text's own stays as it is, so the
    text cannot be had back from it. Text that was shown once does not change again.
    """
    if text.isprintable():
        return text
    return "".join(_escape(ord(one)) if _acts(one) else one for one in text)


def _acts(one: str) -> bool:
    no_character = ord(one) & 0xFFFE == 0xFFFE  # XML cannot hold U+FFFE and U+FFFF either
    return no_character or (unicodedata.category(one) in _ACTING and one not in _KEPT)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown_line(text: str) -> str:
    r"""The same for what must stay one line, whoever's it is: newlines are escapes as well."""
    return shown(text).replace("\n", "\\n")


def shown_json(value: Any) -> Any:
    """JSON data with all its text shown, keys too; numbers that JSON lacks (NaN) become text."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown(str(key)): shown_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [shown_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def say(text: str, err: bool = False) -> None:
    """Print text as it is shown, on standard output or standard error."""
    print(shown(text), file=sys.stderr if err else sys.stdout, flush=True)


def say_lines(lines: Iterable[str]) -> None:
    """
    Print lines, each of which stays one: none can look like another host's.

    On a terminal one that is too wide goes on below, further to the right, with a whole word.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines:
        print("\n".join(_wrapped(shown_line(line), width)), flush=True)


def _wrapped(line: str, width: int) -> list[str]:
    """A line in so many columns, by words; a command stays whole, so that it can be copied."""
    indent = len(line) - len(line.lstrip(" "))
    if len(line) <= width or width < _NARROW + indent or line.lstrip(" ").startswith("try: "):
        return [line]
    return textwrap.wrap(
        line.lstrip(" "),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
        tabsize=1,
    )


def prepare_output() -> None:
    """
    What the process prints never fails and never acts, whatever the locale; call it once.

    A locale without a character gets its escape, and a traceback is shown as all else.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _traceback


def _traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), err=True)
