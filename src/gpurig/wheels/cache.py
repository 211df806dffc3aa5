"""Wheels that the control machine downloads once for all its hosts, each verified by its hash."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request

from gevent.pool import Pool

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.contract.said import said
from gpurig.errors import GpurigError
from gpurig.settings import pip
from gpurig.settings.redaction import Redaction, secrets_of
from gpurig.wheels.choice import LIBC, Wheel, chosen, refuse_others
from gpurig.wheels.download import pieces
from gpurig.wheels.locks import Lock
from gpurig.wheels.resolving import BUILD
from gpurig.wheels.uv_compile import uv_compile

_SECONDS = 60  # without a byte
_LARGEST = 16_000  # megabytes, more than any wheel has
_TRIES = 3
_AT_ONCE = 4  # downloads for one host

_whole: set[Path] = set()  # files of the cache whose hash was compared in this process


@dataclass(frozen=True)
class Shelf:
    """
    The control machine's cache of wheels.

    + folder: of the cache; index: as in `locks.find`
    + architecture: of the hosts, ``x86_64`` or ``aarch64``
    + asked_for: whether the settings name it; hosts download themselves where another one fails
    + seconds: for one file, as rig_limits has it
    """

    folder: Path
    architecture: str
    index: str | None = field(default=None, repr=False)
    asked_for: bool = True
    seconds: int = Limits.download

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
        store.refuse_foreign(file)
        with store.one_at_a_time(f"wheel-{wheel.sha256[:16]}"):
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
        for name, value in _authorization(wheel.url, *self._indexes()).items():
            request.add_unredirected_header(name, value)  # nor is it told to whom this one sends us
        with store.written(file) as out:
            for piece in pieces(request, _SECONDS, self.seconds, _LARGEST):
                digest.update(piece)
                out.write(piece)
            if digest.hexdigest() != wheel.sha256:
                raise ValueError(f"its SHA256 {digest.hexdigest()} is not in the lock")

    def _indexes(self) -> tuple[str, ...]:
        """Where uv looks for wheels, as far as it is told."""
        own = pip.indexes()
        return (self.index,) if self.index else (own.url, *own.extra)

    def _wanted(self, lock: Lock, python: str) -> list[Wheel]:
        """The files of a lock for this Python and architecture; where they are is asked once."""
        key = sha256(
            f"{lock.text}{python}{self.architecture}{self._indexes()}".encode()
        ).hexdigest()
        kept = self.folder / f"{key[:16]}.json"
        with store.one_at_a_time(f"wheels-{key[:16]}"):
            if kept.exists():
                try:
                    rows = [Wheel(**row) for row in json.loads(store.read(kept))]
                    refuse_others(rows, lock.text)
                    return rows
                except (ValueError, TypeError, AttributeError):
                    pass  # it is not what was written: it is made again
            found = chosen(self._pylock(lock, python), lock.text, python, self.architecture)
            store.write(kept, json.dumps([asdict(wheel) for wheel in found]))
            return found

    def _pylock(self, lock: Lock, python: str) -> str:
        """Where each file of a lock is, as uv finds it (PEP 751)."""
        extra: dict[str, str] = {}
        if lock.index:
            extra = {"UV_INDEX": lock.index, "UV_INDEX_STRATEGY": "unsafe-best-match"}
        try:
            done = uv_compile(
                "--no-deps", "--format", "pylock.toml", "-",
                python=python, platform=f"{self.architecture}-manylinux_2_{LIBC}",
                index=self.index, variables=extra, stdin=lock.text, seconds=self.seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise GpurigError(
                "wheels-unknown", f"uv did not find its wheels within {self.seconds} s", lock.key,
                Limits(download=self.seconds).raised("download"),
            ) from error  # fmt: skip
        if done.returncode:
            raise GpurigError(
                "wheels-unknown",
                f"uv cannot find its wheels ({_said(done.stderr)})",
                lock.key,
                "check rig_pypi_index, and that this machine reaches it",
            )
        return done.stdout


def _said(text: str) -> str:
    return Redaction(secrets_of([]))(said(text.splitlines()))


def _authorization(url: str, *indexes: str) -> dict[str, str]:
    """The index's own user and password, for files of the same server: uv leaves them out."""
    asked = urlsplit(url)
    for place in map(urlsplit, indexes):
        there = place.scheme, place.hostname, place.port
        if place.username and there == (asked.scheme, asked.hostname, asked.port):
            told = f"{unquote(place.username)}:{unquote(place.password or '')}"
            return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}
    return {}


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
        f"this machine cannot download it ({reason})",
        wheel.filename,
        "check that this machine reaches the index (rig_pypi_index)",
    )
