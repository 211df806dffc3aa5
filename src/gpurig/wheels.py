"""Wheels that the control machine downloads once for all its hosts, each verified by its hash."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from gevent.pool import Pool
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from gpurig import lock_text, owned
from gpurig.errors import GpurigError
from gpurig.lock_resolving import BUILD
from gpurig.locks import Lock, normalised, one_at_a_time
from gpurig.uv_compile import uv_compile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LIBC = 28  # of glibc 2, as in the locks
_SECONDS = 60  # without a byte
_TRIES = 3
_AT_ONCE = 4  # downloads for one host
# Of the names that packaging takes for a wheel or a source, those that are one name of a file.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")

_whole: set[Path] = set()  # files of the cache whose hash was compared in this process


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


@dataclass(frozen=True)
class Shelf:
    """
    The control machine's cache of wheels.

    + folder: of the cache; index: as in `locks.find`
    + architecture: of the hosts, ``x86_64`` or ``aarch64``
    + asked_for: whether the settings name it; hosts download themselves where another one fails
    """

    folder: Path
    architecture: str
    index: str | None = field(default=None, repr=False)
    asked_for: bool = True

    def files(self, lock: Lock, python: str, names: Sequence[str] | None = None) -> list[Path]:
        """
        The files of a lock, of all or of these distributions, downloaded where they are not there.

        + python: of the environment, ``3.13``

        However many hosts and runs ask, each is downloaded once. GpurigError if one cannot be had
        or is not what the lock says.
        """
        wanted = self._wanted(lock, python)
        chosen = [wheel for wheel in wanted if names is None or wheel.name in (*names, BUILD)]
        return list(Pool(_AT_ONCE).map(self._file, chosen))

    def _file(self, wheel: Wheel) -> Path:
        file = self.folder / wheel.sha256[:16] / wheel.filename
        owned.refuse_foreign(file)
        with one_at_a_time(f"wheel-{wheel.sha256[:16]}"):
            if file in _whole or (file.is_file() and _hash(file) == wheel.sha256):
                _whole.add(file)
                return file
            for left in reversed(range(_TRIES)):
                try:
                    self._download(wheel, file)
                    break
                except (OSError, ValueError) as error:
                    if not left:
                        raise _not_had(wheel, error) from error
            _whole.add(file)
            return file

    def _download(self, wheel: Wheel, file: Path) -> None:
        digest, request = sha256(), Request(wheel.url)
        for name, value in _authorization(wheel.url, self.index).items():
            request.add_unredirected_header(name, value)  # nor is it told to whom this one sends us
        with owned.written(file) as out:
            with urlopen(request, timeout=_SECONDS) as answer:
                while block := answer.read(1 << 20):
                    digest.update(block)
                    out.write(block)
            if digest.hexdigest() != wheel.sha256:
                raise ValueError(f"its SHA256 is {digest.hexdigest()}, not the lock's")

    def _wanted(self, lock: Lock, python: str) -> list[Wheel]:
        """The files of a lock for this Python and architecture; where they are is asked once."""
        key = sha256(f"{lock.text}{python}{self.architecture}{self.index}".encode()).hexdigest()
        kept = self.folder / f"{key[:16]}.json"
        with one_at_a_time(f"wheels-{key[:16]}"):
            if kept.exists():
                try:
                    rows = [Wheel(**row) for row in json.loads(owned.read(kept))]
                    _refuse_others(rows, lock.text)
                    return rows
                except (ValueError, TypeError, AttributeError):
                    pass  # it is not what was written: it is made again
            found = chosen(self._pylock(lock, python), lock.text, python, self.architecture)
            try:
                owned.write(kept, json.dumps([asdict(wheel) for wheel in found]))
            except OSError as error:
                raise GpurigError(
                    "cache-unwritable",
                    f"cannot be written ({error.strerror})",
                    str(self.folder),
                    "check its owner, or name another folder (rig_cache)",
                ) from error
            return found

    def _pylock(self, lock: Lock, python: str) -> str:
        """Where each file of a lock is, as uv finds it (PEP 751)."""
        extra: dict[str, str] = {}
        if lock.index:
            extra = {"UV_INDEX": lock.index, "UV_INDEX_STRATEGY": "unsafe-best-match"}
        done = uv_compile(
            "--no-deps", "--format", "pylock.toml", "-",
            python=python, platform=f"{self.architecture}-manylinux_2_{_LIBC}",
            index=self.index, variables=extra, stdin=lock.text,
        )  # fmt: skip
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise GpurigError(
                "wheels-unknown",
                f"its wheels cannot be found ({said[-1] if said else 'uv said nothing'})",
                lock.key,
                "check rig_pypi_index and that this machine reaches it",
            )
        return done.stdout


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
        files = [_wheel(name, one) for one in package.get("wheels", [])]
        wheels = [wheel for wheel in files if wheel.sha256 in hashes]
        best = min(wheels, key=lambda wheel: _rank(wheel, rank), default=None)
        if best is None or _rank(best, rank) == len(rank):
            source = "sdist" in package and name in lock_text.SOURCES
            best = _wheel(name, package["sdist"]) if source else None
        if best is None or best.sha256 not in hashes:
            raise GpurigError(
                "wheels-unknown",
                f"the index has no file of {name} {package['version']} that is in the lock and"
                f" fits Python {python} on {architecture}",
                where=name,
                do="renew the lock (up --upgrade)",
            )
        found.append(best)
    try:
        _refuse_others(found, lock)
    except ValueError as error:
        raise GpurigError(
            "wheels-unknown", f"the index answers with what is not in the lock ({error})"
        ) from error
    return found


def _refuse_others(wheels: Sequence[Wheel], lock: str) -> None:
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
        raise ValueError("not a file of each distribution")


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
    for minor in range(_LIBC, 4, -1):
        platforms.append(f"manylinux_2_{minor}_{architecture}")
        if minor in old:
            platforms.append(f"{old[minor]}_{architecture}")
    platforms.append(f"linux_{architecture}")
    return [
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    ]


def _authorization(url: str, index: str | None) -> dict[str, str]:
    """The index's own user and password, for files of the same server: uv leaves them out."""
    place, asked = urlsplit(index or ""), urlsplit(url)
    same = (asked.scheme, asked.hostname, asked.port) == (place.scheme, place.hostname, place.port)
    if not place.username or not same:
        return {}
    told = f"{unquote(place.username)}:{unquote(place.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}


def _hash(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _not_had(wheel: Wheel, error: Exception) -> GpurigError:
    reason = error.reason if isinstance(error, URLError) else error
    return GpurigError(
        "wheel-unavailable",
        f"cannot be downloaded by this machine ({reason})",
        wheel.filename,
        "check that it reaches the index (rig_pypi_index)",
    )
