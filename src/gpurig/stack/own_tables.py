"""Tables of a user's own beside those that ship: the same kinds of rows, the newer one counts."""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from packaging.version import Version

from gpurig.errors import InputError
from gpurig.stack.rows import BranchRow, DriverRow, NvidiaRepositoryRow, ReleaseRow, Row
from gpurig.stack.table_laws import built

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What a user's tables may have, and the columns by which a row is of the same thing as another.
KINDS: dict[str, tuple[type[Row], tuple[str, ...]]] = {
    "release": (ReleaseRow, ("name", "version")),
    "driver": (DriverRow, ("distribution", "release", "architectures", "packages")),
    "branch": (BranchRow, ("number",)),
    "nvidia_repository": (NvidiaRepositoryRow, ("distribution", "release")),
}
R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class OwnRow:
    """A row of a user's tables: in which table, in which file, and where in it."""

    table: str
    row: Row
    file: str
    place: int


def rows(text: str, file: str) -> list[OwnRow]:
    """The rows of a file; InputError, one sentence with file and row, where one is not right."""
    try:
        arrays = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError("tables-wrong", f"is not TOML ({error})", file, _DO) from error
    found = []
    for table, listed in arrays.items():
        if table not in KINDS or not isinstance(listed, list):
            what = f"has {table!r:.40}; a user's tables have rows of {', '.join(KINDS)}"
            raise InputError("tables-wrong", what, file, _DO)
        for place, columns in enumerate(listed, 1):
            try:
                row = built(KINDS[table][0], columns)
            except ValueError as error:
                what = f"row {place} of {table}{_called(columns)} is not right: {error}"
                raise InputError("tables-wrong", what, file, _DO) from error
            found.append(OwnRow(table, row, file, place))
    _refuse_twice(found)
    return found


_DO = "correct the file, or remove it"


def _called(columns: Any) -> str:
    told = [columns.get(key) for key in ("name", "version")] if isinstance(columns, dict) else []
    words = [
        word for word in told if isinstance(word, str) and re.fullmatch(r"[\w.+-]{1,40}", word)
    ]
    return f" ({' '.join(words)})" if words else ""


def _refuse_twice(found: Sequence[OwnRow]) -> None:
    seen: dict[Hashable, OwnRow] = {}
    for one in found:
        earlier = seen.setdefault((one.table, key(one.table, one.row)), one)
        if earlier is not one:
            what = f"row {one.place} of {one.table} is of the same thing as row {earlier.place}"
            raise InputError("tables-wrong", what, one.file, _DO)


def key(table: str, row: Row) -> Hashable:
    """What a row is about: two of the same are one thing."""
    values = [getattr(row, column) for column in KINDS[table][1]]
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def counting(shipped: Mapping[str, tuple[Row, ...]], own: Iterable[OwnRow]) -> list[OwnRow]:
    """Those that count: of a thing that ships no row of the same or a later date."""
    dates = {(table, key(table, row)): row.date for table in KINDS for row in shipped[table]}
    newest: dict[Hashable, OwnRow] = {}
    for one in own:
        about = (one.table, key(one.table, one.row))
        if about in dates and one.row.date <= dates[about]:
            continue
        if about not in newest or newest[about].row.date <= one.row.date:
            newest[about] = one
    return list(newest.values())


def joined(table: str, shipped: tuple[R, ...], own: Sequence[OwnRow]) -> tuple[R, ...]:
    """The rows of one table: each in the place of what it replaces, releases newest first."""
    new: dict[Hashable, Any] = {key(table, one.row): one.row for one in own if one.table == table}
    if not new:
        return shipped
    found = [new.pop(key(table, row), row) for row in shipped] + list(new.values())
    if table == "release":
        names = list(dict.fromkeys(row.name for row in found))
        found.sort(key=lambda row: Version(row.version), reverse=True)
        found.sort(key=lambda row: names.index(row.name))
    return tuple(found)
