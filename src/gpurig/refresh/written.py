"""Rows as the text of a table's file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from datetime import date
from typing import Any

from gpurig.stack.own_tables import KINDS
from gpurig.stack.rows import BuildRow, Row

_HEAD = """\
# Written by `gpurig tables refresh`, which writes it again.
# Rows of your own belong into another file of this folder.
"""


def text(rows: Iterable[tuple[str, Row]]) -> str:
    """TOML of rows and the names of their tables; columns that say nothing are left out."""
    order = list(KINDS)
    parts = [
        f"[[{table}]]\n{''.join(_columns(row, table))}"
        for table, row in sorted(rows, key=lambda one: order.index(one[0]))
    ]
    return "\n".join([_HEAD, *parts])


def _columns(row: Any, table: str) -> Iterator[str]:
    later = []
    for column in fields(row):
        value = getattr(row, column.name)
        if value == _default(column):
            continue
        if isinstance(value, list) and value and isinstance(value[0], BuildRow):
            later = [
                f"\n[[{table}.{column.name}]]\n{''.join(_columns(one, table))}" for one in value
            ]
        else:
            yield f"{column.name} = {_value(value)}\n"
    yield from later


def _default(column: Field[Any]) -> Any:
    if column.default_factory is not MISSING:
        return column.default_factory()
    return column.default


def _value(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k)} = {_value(v)}' for k, v in value.items())} }}"
    return json.dumps(value)  # TOML's text, numbers and booleans are JSON's
