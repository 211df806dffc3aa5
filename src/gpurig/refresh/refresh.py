"""One refresh of the user's tables: all that is reached is read, then one file is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gpurig import store
from gpurig.contract.frameworks import frameworks
from gpurig.refresh import drivers, written
from gpurig.refresh.found import Found
from gpurig.refresh.index import Index
from gpurig.refresh.reading import UnreadError
from gpurig.refresh.releases import Release, newest, release
from gpurig.settings.table import Settings
from gpurig.stack import own_tables
from gpurig.stack.rows import ReleaseRow
from gpurig.stack.tables import merged, own

FILE = "refreshed.toml"


def refresh(folder: Path, index: Index, settings: Settings, today: date,
            telling: Callable[[str], None]) -> Found:  # fmt: skip
    """
    Read what is reached, and write the rows that are new beside those of refreshes before.

    + telling: is told what is being read

    What could not be read stays as it is. Nothing is written before all is read and checked; then
    the file is replaced as a whole. GpurigError if it cannot be.
    """
    found = Found()
    for framework, about in frameworks().items():
        telling(f"reading {about.title}")
        of_framework(found, index, framework, today)
    telling("reading the distributions' drivers")
    drivers.of_distributions(found, drivers.roots(settings.apt_mirror), today)
    telling("reading NVIDIA's repositories")
    (root,) = merged().nvidia_root
    moved = settings.repositories.get("nvidia", {}).get("url")
    drivers.of_nvidia(found, moved or root.address, today)
    _write(folder / FILE, found)
    return found


def of_framework(found: Found, index: Index, framework: str, today: date) -> None:
    """The newest release of one framework, where the tables have an older one."""
    known = next(row for row in merged().release if row.name == framework)
    if known.sdist_sha256:
        found.same.append(f"{framework} {known.version}: gpurig builds it with patches of its own")
        return
    ours = any(one.row == known for one in own())  # of a refresh before, which may have read less
    try:
        version = newest(index, framework)
        if version is None:
            found.unread.append(f"{framework}: the index has no wheels of a final release")
        elif Version(version) > Version(known.version):
            made = release(index, framework, version, today)
            found.add("release", made.row, f"{framework} {version}, before {known.version}")
            found.unread += made.notes
        elif ours and Version(version) == Version(known.version):
            _again(found, release(index, framework, version, today), known)
        elif ours and Version(version) < Version(known.version):
            found.unread.append(f"{framework}: the index has {known.version} no longer")
        else:
            found.same.append(f"{framework} {known.version}")
    except UnreadError as error:
        found.unread.append(f"{framework}: {error}")


def _again(found: Found, made: Release, before: ReleaseRow) -> None:
    """A release that was read before: what could not be read then may be there now."""
    found.unread += made.notes
    title = f"{made.row.name} {made.row.version}"
    if len(made.row.builds) > len(before.builds):
        found.add("release", made.row, f"{title}, more of its builds")
    else:
        found.same.append(title)


def untested(index: Index, framework: str, wanted: SpecifierSet, today: date) -> Found:
    """The newest release that a user allows, whether the tables know a newer one or not."""
    found = Found()
    try:
        version = newest(index, framework, wanted)
        if version is None:
            found.unread.append(f"the index has no wheels of {framework}{wanted}")
        else:
            made = release(index, framework, version, today)
            found.add("release", made.row, f"{framework} {version}")
    except UnreadError as error:
        found.unread.append(str(error))
    return found


def _write(file: Path, found: Found) -> None:
    if not found.rows:
        return
    rows = {
        (one.table, own_tables.key(one.table, one.row)): (one.table, one.row)
        for one in own()
        if Path(one.file) == file
    }
    rows |= {(table, own_tables.key(table, row)): (table, row) for table, row in found.rows}
    text = written.text(rows.values())
    own_tables.rows(text, str(file))  # by the same laws as when it is read
    store.write(file, text)
