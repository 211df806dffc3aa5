"""A package index that keeps what it fetched: pages for ten minutes, files for good."""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PAGE_LIFE = 600  # seconds
CHUNK = 1 << 20
ANCHOR = re.compile(
    r"""<a\b[^>]*?\bhref\s*=\s*["']([^"']+)["'][^>]*>(.*?)</a>""", re.IGNORECASE | re.DOTALL
)


class NotFound(Exception):
    """Upstream has no such page or file."""


class Index:
    """
    Package pages joined from several indexes, and the files their links name.

    + folder: what was fetched lies here
    + upstreams: the indexes, first one first (http, https or file, without the package's name)
    """

    def __init__(self, folder: Path, upstreams: Sequence[str]) -> None:
        self.folder = folder
        self.upstreams = [upstream.rstrip("/") for upstream in upstreams]
        self.files: dict[str, File] = {}
        self.lock = threading.Lock()
        (folder / "pages").mkdir(parents=True, exist_ok=True)

    def page(self, package: str) -> bytes:
        """The page of a package (name normalised), its links leading to ``/files/…`` here."""
        cached = self.folder / "pages" / f"{package}.html"
        if cached.exists() and time.time() - cached.stat().st_mtime < PAGE_LIFE:
            return cached.read_bytes()
        try:
            content = self._fresh(package).encode()
        except OSError:
            if cached.exists():
                return cached.read_bytes()  # an old page serves better than none
            raise
        staged = cached.with_suffix(f".{threading.get_ident()}")
        staged.write_bytes(content)
        staged.rename(cached)
        return content

    def file(self, origin: str, path: str) -> File:
        """The file behind a link ``/files/ORIGIN/PATH``."""
        known = self._origins()
        if origin not in known:
            raise NotFound(path)
        url = known[origin] + "/" + path
        with self.lock:
            if url not in self.files:
                key = hashlib.sha256(url.encode()).hexdigest()
                self.files[url] = File(url, self.folder / "files" / key[:2] / key)
            return self.files[url]

    def _fresh(self, package: str) -> str:
        seen: set[str] = set()
        anchors: list[str] = []
        missing = 0
        for upstream in self.upstreams:
            try:
                base, text = _read_page(f"{upstream}/{package}/")
            except NotFound:
                missing += 1
                continue
            for found in ANCHOR.finditer(text):
                if (name := html.unescape(found[2]).strip()) in seen:
                    continue
                seen.add(name)
                link = self._link(urllib.parse.urljoin(base, html.unescape(found[1])))
                anchors.append(found[0].replace(found[1], html.escape(link), 1))
        if missing == len(self.upstreams):
            raise NotFound(package)
        body = "<br/>\n".join(anchors)
        return f"<!DOCTYPE html>\n<html><body><h1>{package}</h1>\n{body}\n</body></html>\n"

    def _link(self, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        key = hashlib.sha256(origin.encode()).hexdigest()[:12]
        with self.lock:
            if key not in (known := self._origins()):
                (self.folder / "origins.json").write_text(json.dumps(known | {key: origin}))
        return f"/files/{key}{parts.path}" + (f"#{parts.fragment}" if parts.fragment else "")

    def _origins(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / "origins.json").read_text()))
        except FileNotFoundError:
            return {}


class File:
    """One upstream file: fetched once, by a thread of its own, while any number read along."""

    def __init__(self, url: str, place: Path) -> None:
        self.url = url
        self.place = _local(url) or place
        self.partial = self.place.with_suffix(".partial")
        self.size: int | None = None
        self.written = 0
        self.error: Exception | None = None
        self.fetching = False
        self.announced = False  # upstream has answered, so the size is known if it ever will be
        self.state = threading.Condition()

    @property
    def complete(self) -> bool:
        """Whether all of it lies on disk."""
        return self.place.exists()

    def ask(self) -> int | None:
        """Its size without fetching it."""
        with _open(urllib.request.Request(self.url, method="HEAD")) as answer:
            return _length(answer)

    def part(self, first: int, last: int) -> bytes:
        """Bytes FIRST to LAST of a file that is not here, fetched for themselves."""
        wanted = {"Range": f"bytes={first}-{last}"}
        with _open(urllib.request.Request(self.url, headers=wanted)) as answer:
            if answer.status != 206:
                raise OSError(f"{self.url} does not come in parts")
            return bytes(answer.read())

    def fetch(self) -> int | None:
        """Start fetching it, or join a fetch under way; its size, None if upstream keeps silent."""
        with self.state:
            if not self.fetching and not self.complete:
                self.fetching, self.announced, self.error, self.written = True, False, None, 0
                threading.Thread(target=self._fetch, daemon=True).start()
            self.state.wait_for(lambda: self.announced or not self.fetching)
            if self.error:
                raise self.error
            return self.size

    def read(self) -> Iterator[bytes]:
        """All of it, as it arrives."""
        try:
            growing = self.partial.open("rb")  # renaming it later does not disturb this
        except FileNotFoundError:
            growing = self.place.open("rb")
        with growing:
            sent = 0
            while True:
                with self.state:
                    while self.written <= sent and self.fetching:
                        self.state.wait()
                    if self.error:
                        raise self.error
                if not (chunk := growing.read(CHUNK)):
                    return
                sent += len(chunk)
                yield chunk

    def _fetch(self) -> None:
        error: Exception | None = None
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            request = urllib.request.Request(self.url)
            with _open(request) as answer, self.partial.open("wb", buffering=0) as out:
                with self.state:
                    self.size, self.announced = _length(answer), True
                    self.state.notify_all()
                while chunk := answer.read(CHUNK):
                    out.write(chunk)
                    with self.state:
                        self.written += len(chunk)
                        self.state.notify_all()
            if self.size is not None and self.written != self.size:
                raise OSError(f"{self.url} broke off after {self.written} bytes")
            self.partial.rename(self.place)
        except (OSError, NotFound) as broken:
            error = broken
        with self.state:
            self.fetching, self.error = False, error
            self.state.notify_all()


def _length(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length")
    return int(length) if length else None


def _read_page(url: str) -> tuple[str, str]:
    """The address a page really came from, and its text."""
    folder = _local(url)
    if folder is not None:
        try:
            return url, (folder / "index.html").read_text()
        except FileNotFoundError as error:
            raise NotFound(url) from error
    with _open(urllib.request.Request(url, headers={"Accept": "text/html"})) as answer:
        return answer.url, answer.read().decode()


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=120)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise NotFound(request.full_url) from error
        raise


def _local(url: str) -> Path | None:
    parts = urllib.parse.urlsplit(url)
    return Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None
