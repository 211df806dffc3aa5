"""What is read of indexes and repositories: bounded, over https, and never more than text."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from gpurig.wheels.download import pieces

_SECONDS = 30  # without a byte
_IN_ALL = 600  # seconds for one answer
_PAGE = 64  # megabytes: an index page of ten thousand files has eight
_METADATA = 2_000_000  # bytes; those of frameworks have a few thousand
_PART = 1 << 16  # bytes that are read of a wheel at once
_PARTS = 512  # of them: the list of files in a wheel of three gigabytes takes thirty


T = TypeVar("T")


class UnreadError(Exception):
    """What could not be read, and why, as one sentence."""


def text(url: str, accept: str = "*/*") -> bytes:
    """All that is at an address; UnreadError where it cannot be had, or is too much."""
    request = _request(url, Accept=accept)
    return _told(url, lambda: b"".join(pieces(request, _SECONDS, _IN_ALL, _PAGE)))


def wheel_metadata(url: str) -> str:
    """METADATA of a wheel, of which only the parts that hold it are read (PEP 427)."""
    opened: Callable[[], Any] = (
        partial(open, _path(url), "rb") if _is_file(url) else partial(_Remote, url)
    )
    return _told(url, lambda: _metadata(opened))


def _metadata(opened: Callable[[], Any]) -> str:
    with opened() as raw, zipfile.ZipFile(io.BufferedReader(raw, _PART)) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        (one,) = [name for name in names if name.count("/") == 1]
        if wheel.getinfo(one).file_size > _METADATA:
            raise ValueError(f"its METADATA is larger than {_METADATA} bytes")
        with wheel.open(one) as packed:
            return packed.read(_METADATA).decode()


def _told(url: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except HTTPError as error:
        error.close()
        raise UnreadError(f"{shown(url)}: the server answers {error.code}") from error
    except URLError as error:
        raise UnreadError(f"{shown(url)}: {error.reason}") from error
    # zipfile raises NotImplementedError for a compression that it does not know.
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UnreadError(f"{shown(url)}: {getattr(error, 'strerror', None) or error}") from error


def _is_file(url: str) -> bool:
    return urlsplit(url).scheme == "file"


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _request(url: str, **headers: str) -> Request:
    """What is asked at an address; the user and the password in it go into a header."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "file") or not (parts.netloc or _is_file(url)):
        raise UnreadError(f"{shown(url)}: gpurig reads https, http and file addresses")
    host = parts.netloc.rpartition("@")[2]
    request = Request(urlunsplit(parts._replace(netloc=host)), headers=headers)
    if parts.username:
        told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        word = base64.b64encode(told.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    return request


def shown(url: str) -> str:
    """An address as sentences have it, without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class _Remote(io.RawIOBase):
    """A file at an address that is read in parts (HTTP ranges)."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._at, self._left = url, 0, _PARTS
        first, self._size = self._ranged(0, 0)
        if not first:
            raise ValueError("it is empty")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        last = min(self._at + len(buffer), self._size) - 1
        if last < self._at:
            return 0
        got, _ = self._ranged(self._at, last)
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)

    def _ranged(self, first: int, last: int) -> tuple[bytes, int]:
        """The bytes from first to last, both included, and how many there are in all."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("its metadata is spread over too many parts")
        asked = _request(self._url, Range=f"bytes={first}-{last}")
        with urlopen(asked, timeout=_SECONDS) as answer:
            told = str(answer.headers.get("Content-Range", ""))
            place, _, size = told.removeprefix("bytes ").partition("/")
            if answer.status != 206 or place != f"{first}-{last}" or not size.isdecimal():
                raise ValueError("the server does not give parts of files, nor their metadata")
            return answer.read(last - first + 1), int(size)
