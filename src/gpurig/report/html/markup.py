"""The few shapes of which the page is made; all text that goes into them is shown and escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape as _html

from gpurig.report.shown import shown, shown_line

_WHOLE = 24  # characters
_CODE = re.compile(r"`([^`\n]+)`")
_UNITS = "%|s|min|h|kB|MB|GB|TB|GiB|images/s"
_QUANTITY = re.compile(rf"(?:\d+ (?:min|h) )?\d[\d.,]* (?:{_UNITS})(?![\w/])")


def escape(text: object) -> str:
    """Text of anybody's, as the page shows it."""
    return _html(shown(str(text)))


def prose(text: object) -> str:
    """The same; what stands in backticks is code, and a number stays with its unit."""
    marked = _CODE.sub(lambda found: f"<code{_kept(found[1])}>{found[1]}</code>", escape(text))
    return _QUANTITY.sub(r"<span class=q>\g<0></span>", marked)


def whole(text: str) -> str:
    """A name or a version that stays on one line, if it is one that can."""
    return f"<span{_kept(text)}>{escape(text)}</span>"


def _kept(text: str) -> str:
    """What keeps a short text on one line."""
    return " class=q" if len(text) <= _WHOLE else ""


def dotted(name: object) -> str:
    """A long name, such as a host's or a promise's: where it must break, it does so after a dot."""
    return escape(name).replace(".", ".<wbr>")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    A table; on a narrow screen each row becomes a block, whose cells name their heads.

    + rows: cells as HTML
    """
    head = "".join(f"<th scope=col>{escape(one)}</th>" for one in heads)
    body = "\n".join(f"<tr>{''.join(map(_cell, heads, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(head: str, cell: str) -> str:
    if not cell:
        return "<td class=none></td>"
    return f"<td data-head='{escape(head)}'><div>{cell}</div></td>"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Names with what they are, as HTML."""
    cells = "\n".join(f"<div><dt>{escape(name)}</dt><dd>{what}</dd></div>" for name, what in rows)
    return f"<dl>\n{cells}\n</dl>"


def card(title: str, body: str, style: str = "") -> str:
    """A framed part of the page; nothing where there is nothing in it."""
    if not body:
        return ""
    return f"<section class='card {style}'><h3>{escape(title)}</h3>\n{body}</section>"


def folded(title: str, body: str) -> str:
    """A part that opens when it is pressed; nothing where there is nothing in it."""
    if not body:
        return ""
    return f"<details><summary>{escape(title)}</summary>\n<div>{body}</div></details>"


def lines(texts: Iterable[str]) -> str:
    """Lines as they are, each of which stays one."""
    return f"<pre>{escape(chr(10).join(map(shown_line, texts)))}</pre>"


def items(entries: Iterable[str], style: str = "") -> str:
    """A list; its entries are HTML."""
    made = "\n".join(f"<li>{entry}</li>" for entry in entries)
    return f"<ul class='{style}'>\n{made}\n</ul>" if made else ""


def tag(word: str, tone: str) -> str:
    """A word in the colour of what it means."""
    return f"<span class='tag {tone}'>{escape(word)}</span>"
