"""What `gpurig tables` does; it answers its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from rich.table import Table

from gpurig.cli import own_tables
from gpurig.report.frame import as_text, frame
from gpurig.report.shown import say, say_lines
from gpurig.report.terminal import Terminal
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.defaults import Defaults
from gpurig.stack import tables


def show_tables(as_json: bool, wishes: Sequence[str] = ()) -> int:
    """The tables that the resolver decides by: their oldest row's age, and where each is from."""
    settings = [validate(Defaults.of(None).below(parse_set(wishes)), "--set")]
    own_tables.use(settings)
    today, found = date.today(), tables.tables()
    listed: list[dict[str, Any]] = []
    for table in fields(found):
        rows = getattr(found, table.name)
        oldest = min(row.date for row in rows)
        age = (today - oldest).days
        files = [one.file for one in tables.own() if one.table == table.name]
        listed.append(
            {"table": table.name, "rows": len(rows), "oldest": str(oldest), "age_days": age,
             "from": ["gpurig", *dict.fromkeys(files)], "own_rows": len(files)}
        )  # fmt: skip
    if as_json:
        say(as_text(frame("tables", tables=listed)))
        return 0
    grid = Table(box=None, pad_edge=False)
    for title in ("table", "rows", "oldest row", "days old", "own"):
        right = title in ("rows", "days old", "own")
        grid.add_column(title, justify="right" if right else "left")
    for one in listed:
        own = one["own_rows"] or ""
        grid.add_row(*(str(one[key]) for key in ("table", "rows", "oldest", "age_days")), str(own))
    Terminal(highlight=False).print(grid)
    for file in dict.fromkeys(row.file for row in tables.own()):
        rows = sum(row.file == file for row in tables.own())
        say_lines([f"{rows} of the rows {'is' if rows == 1 else 'are'} from {file}"])
    return 0
