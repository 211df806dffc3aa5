"""What `gpurig tables` does; it answers its exit code."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date

from rich.table import Table

from gpurig.report import SCHEMA
from gpurig.report.shown import say
from gpurig.report.terminal import Terminal
from gpurig.stack.tables import tables


def show_tables(as_json: bool) -> int:
    """The tables that the resolver decides by, with the age of their oldest row."""
    today, found = date.today(), tables()
    listed = []
    for table in fields(found):
        rows = getattr(found, table.name)
        oldest = min(row.date for row in rows)
        age = (today - oldest).days
        listed.append(
            {"table": table.name, "rows": len(rows), "oldest": str(oldest), "age_days": age}
        )
    if as_json:
        frame = {"schema": SCHEMA, "command": "tables", "hosts": {}, "errors": []}
        say(json.dumps(frame | {"tables": listed}, indent=2))
        return 0
    grid = Table(box=None, pad_edge=False)
    for title in ("table", "rows", "oldest row", "days old"):
        grid.add_column(title, justify="right" if title in ("rows", "days old") else "left")
    for one in listed:
        grid.add_row(*(str(value) for value in one.values()))
    Terminal(highlight=False).print(grid)
    return 0
