"""Which file of each distribution of a lock a host installs; pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from gpurig.errors import GpurigError
from gpurig.wheels import lock_text
from gpurig.wheels.locks import normalised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIBC = 28  # of glibc 2, as in the locks
# Of the names that packaging takes for a wheel or a source, those that are one name of a file.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")


@dataclass(frozen=True)
class Wheel:
    """
    One file of a lock that a host installs; an sdist where there is no wheel for it.

    + name: the distribution's, normalised; filename, url, sha256: of the file
    """

    name: str
    filename: str
    url: str = field(repr=False)
    sha256: str


def chosen(pylock: str, lock: str, python: str, architecture: str) -> list[Wheel]:
    """
    Which file of each distribution this Python and architecture installs, by PEP 425's order.

    + pylock: where files are; lock: which hashes are accepted, a file with another is not there
    """
    pins = lock_text.read(lock)
    rank = {tag: place for place, tag in enumerate(_tags(python, architecture))}
    found = []
    for package in tomllib.loads(pylock)["packages"]:
        name = normalised(package["name"])
        hashes = pins[name].hashes if name in pins else frozenset()
        best = _best(name, package, hashes, rank)
        if best is None or best.sha256 not in hashes:
            raise GpurigError(
                "wheels-unknown",
                f"the index has no file of {name} {package['version']} for"
                f" Python {python} on {architecture} that is in the lock",
                where=name,
                do="run up --upgrade to renew the lock",
            )
        found.append(best)
    try:
        refuse_others(found, lock)
    except ValueError as error:
        raise GpurigError(
            "wheels-unknown", f"the index answers with a file that is not in the lock ({error})"
        ) from error
    return found


def _best(
    name: str, package: Mapping[str, Any], hashes: Container[str], rank: dict[Tag, int]
) -> Wheel | None:
    """The wheel that comes first among those of the lock, else its source if one may be built."""
    files = [_wheel(name, one) for one in package.get("wheels", [])]
    wheels = [wheel for wheel in files if wheel.sha256 in hashes]
    best = min(wheels, key=lambda wheel: _rank(wheel, rank), default=None)
    if best is not None and _rank(best, rank) < len(rank):
        return best
    source = "sdist" in package and name in lock_text.SOURCES
    return _wheel(name, package["sdist"]) if source else None


def refuse_others(wheels: Sequence[Wheel], lock: str) -> None:
    """ValueError unless these are one file of each pin, by its name and hash, in plain words."""
    pins = lock_text.read(lock)
    for wheel in wheels:
        if wheel.name not in pins or wheel.sha256 not in pins[wheel.name].hashes:
            raise ValueError(f"another {wheel.name!r}")
        parse = parse_sdist_filename if wheel.name in lock_text.SOURCES else parse_wheel_filename
        name, version, *_ = parse(wheel.filename)
        if name != wheel.name or version != Version(pins[name].version):
            raise ValueError(f"{wheel.filename!r} for {wheel.name}")
        if not _FILENAME.fullmatch(wheel.filename):
            raise ValueError(f"a file named {wheel.filename!r}")
    if len(wheels) != len(pins) or {wheel.name for wheel in wheels} != set(pins):
        raise ValueError("not one file for each package")


def _wheel(name: str, file: dict[str, object]) -> Wheel:
    url = str(file["url"]) if "url" in file else Path(str(file["path"])).absolute().as_uri()
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    hashes = file["hashes"]
    assert isinstance(hashes, dict)
    return Wheel(name, filename, url, str(hashes.get("sha256", "")))


def _rank(wheel: Wheel, rank: dict[Tag, int]) -> int:
    tags = parse_wheel_filename(wheel.filename)[3]
    return min((rank[tag] for tag in tags if tag in rank), default=len(rank))


def _tags(python: str, architecture: str) -> list[Tag]:
    version = tuple(int(part) for part in python.split("."))
    interpreter = f"cp{version[0]}{version[1]}"
    old = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    platforms = []
    for minor in range(LIBC, 4, -1):
        platforms.append(f"manylinux_2_{minor}_{architecture}")
        if minor in old:
            platforms.append(f"{old[minor]}_{architecture}")
    platforms.append(f"linux_{architecture}")
    return [
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    ]
