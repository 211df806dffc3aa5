"""The user's own tables: found, checked and counted before a verb looks anything up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from gpurig import store
from gpurig.errors import InputError
from gpurig.refresh.index import Index, configured
from gpurig.report.shown import say, shown_line
from gpurig.settings.table import Settings
from gpurig.stack import own_tables, tables
from gpurig.stack.frameworks import parsed


def folder(settings: Iterable[Settings]) -> Path:
    """The folder that all settings name alike, or the one that `tables refresh` writes into."""
    named = {one.tables for one in settings}
    if len(named) > 1:
        raise InputError(
            "tables-several", "a run has one folder of tables, and its hosts name several",
            "rig_tables", "set the same folder for all hosts, or run them one after the other",
        )  # fmt: skip
    given = next(iter(named), None)
    if given is not None and not Path(given).is_dir():
        what = f"{given} is no folder on this machine"
        raise InputError("tables-missing", what, "rig_tables", "make it, or remove the setting")
    return Path(given) if given else store.data() / "tables"


def use(settings: Sequence[Settings]) -> None:
    """
    Count the user's tables in this process, and what rig_untested allows beside them; tell so.

    InputError where a row is not right, or a release that no table has cannot be read.
    """
    place = folder(settings)
    rows = [row for file in sorted(place.glob("*.toml")) for row in _rows(file)]
    tables.use(rows)
    if counting := len(tables.own()):
        which = "1 row counts" if counting == 1 else f"{counting} rows count"
        say(f"gpurig: tables: {which} from {shown_line(str(place))}", err=True)
    if untested := [row for one in settings if one.untested for row in _untested(one)]:
        tables.use([*rows, *untested])


def _untested(settings: Settings) -> Iterator[own_tables.OwnRow]:
    """The releases that rig_frameworks asks for and no table has, as the index has them."""
    for wish in map(parsed, settings.frameworks or ()):
        name = wish.name.lower()
        if any(
            row.name == name and wish.specifier.contains(row.version, prereleases=True)
            for row in tables.merged().release
        ):
            continue
        from gpurig.refresh import refresh  # it loads what reads wheels and package lists

        found = refresh.untested(index_of(settings), name, wish.specifier, date.today())
        if not found.rows:
            what = f"gpurig cannot read {wish}, which no table has ({'; '.join(found.unread)})"
            do = "check rig_pypi_index, or ask for a release of the tables"
            raise InputError("release-unread", what, "rig_untested", do)
        for table, row in found.rows:
            say(f"gpurig: tables: {found.new[0]} is in none, and is as the index has it", err=True)
            yield own_tables.OwnRow(table, row, "rig_untested", 1)


def index_of(settings: Settings) -> Index:
    """The index of these settings, with the mirror of PyTorch's own."""
    mirror = settings.repositories.get("pytorch", {}).get("url")
    return Index(settings.pypi_index or configured(), mirror)


def _rows(file: Path) -> list[own_tables.OwnRow]:
    return own_tables.rows(store.read(file), str(file))
