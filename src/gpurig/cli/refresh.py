"""What `gpurig tables refresh` does; it answers its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gpurig import store
from gpurig.cli import own_tables
from gpurig.refresh.refresh import FILE
from gpurig.refresh.refresh import refresh as refreshed
from gpurig.report.frame import as_text, frame
from gpurig.report.shown import say, say_lines
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.defaults import Defaults


def refresh(wishes: Sequence[str], as_json: bool) -> int:
    """Read, write and tell what is new; 1 where something could not be read, which stays."""
    settings = validate(Defaults.of(None).below(parse_set(wishes)), "--set")
    folder = own_tables.folder([settings])
    own_tables.use([settings])
    index = own_tables.index_of(settings)

    def telling(line: str) -> None:
        say(f"{line} …", err=True)

    with store.one_at_a_time("tables"):
        found = refreshed(folder, index, settings, date.today(), telling)
    code = 1 if found.unread else 0
    file = str(folder / FILE)
    if as_json:
        told = {"new": found.new, "same": found.same, "unread": found.unread, "file": file}
        say(as_text(frame("tables refresh", refresh=told)))
        return code
    say_lines([f"new: {one}" for one in found.new])
    say_lines([f"as it was: {one}" for one in found.same])
    say_lines([f"not read, stays as it was: {one}" for one in found.unread])
    rows = "1 row" if len(found.rows) == 1 else f"{len(found.rows)} rows"
    wrote = f"wrote {rows} into {file}" if found.rows else "nothing is new"
    say_lines([wrote])
    return code
