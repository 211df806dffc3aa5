"""The lab's web server on the bridge: the package index, and folders (MNIST, repositories)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .index import Index, NotFound


class Server(ThreadingHTTPServer):
    """Answers every request in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], index: Index, folders: dict[str, Path]) -> None:
        super().__init__(address, Handler)
        self.index = index
        self.folders = folders


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD, whole or one byte range."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 120
    headers_sent = False

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = urlsplit(self.path).path
        self.headers_sent = False
        try:
            if found := re.fullmatch(r"/simple/([^/]+)/?", path):
                self._page(found[1], body)
            elif found := re.fullmatch(r"/files/([0-9a-f]+)/(.+)", path):
                self._file(found[1], found[2], body)
            else:
                self._static(unquote(path), body)
        except (NotFound, FileNotFoundError):
            self._say(HTTPStatus.NOT_FOUND, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away
        except (OSError, ValueError) as error:
            self.log_error("%s: %s", self.path, error)
            self.close_connection = True
            if not self.headers_sent:
                self._say(HTTPStatus.BAD_GATEWAY, body)

    def _page(self, package: str, body: bool) -> None:
        name = re.sub(r"[-_.]+", "-", package).lower()
        if f"/simple/{name}/" != self.path:
            self._head(HTTPStatus.MOVED_PERMANENTLY, 0, Location=f"/simple/{name}/")
            return
        content = self.server.index.page(name)
        self._head(HTTPStatus.OK, len(content), **{"Content-Type": "text/html; charset=utf-8",
                                                   "Cache-Control": "max-age=600"})  # fmt: skip
        if body:
            self.wfile.write(content)

    def _file(self, origin: str, path: str, body: bool) -> None:
        file = self.server.index.file(origin, path)
        if file.complete:
            self._stored(file.place, body)
        elif not body:
            self._head(HTTPStatus.OK, file.ask())
        elif "Range" in self.headers and (size := file.ask()):
            first, last = self._range(size)
            content = file.part(first, last)
            self._head(HTTPStatus.PARTIAL_CONTENT, len(content),
                       **{"Content-Range": f"bytes {first}-{last}/{size}"})  # fmt: skip
            self.wfile.write(content)
        else:
            self._head(HTTPStatus.OK, file.fetch())
            self._write(file.read())

    def _static(self, path: str, body: bool) -> None:
        name, _, rest = path.lstrip("/").partition("/")
        folder = self.server.folders.get(name)
        if folder is None:
            raise NotFound(path)
        place = (folder / rest).resolve()
        if not place.is_file() or not place.is_relative_to(folder.resolve()):
            raise NotFound(path)
        self._stored(place, body)

    def _stored(self, place: Path, body: bool) -> None:
        with place.open("rb") as content:
            size = place.stat().st_size
            first, last = self._range(size)
            if last - first + 1 < size:
                part = {"Content-Range": f"bytes {first}-{last}/{size}"}
                self._head(HTTPStatus.PARTIAL_CONTENT, last - first + 1, **part)
            else:
                self._head(HTTPStatus.OK, size)
            if body and size:
                self.wfile.flush()
                self.connection.sendfile(content, first, last - first + 1)

    def _range(self, size: int) -> tuple[int, int]:
        """The first and last byte asked for; all of them where the request names no range."""
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "").strip())
        if not found or not size or not (found[1] or found[2]):
            return 0, size - 1
        if not found[1]:
            return max(0, size - int(found[2])), size - 1
        first = min(int(found[1]), size - 1)
        return first, min(int(found[2]), size - 1) if found[2] else size - 1

    def _write(self, chunks: Iterator[bytes]) -> None:
        for chunk in chunks:
            self.wfile.write(chunk)

    def _say(self, status: HTTPStatus, body: bool) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self._head(status, len(text))
        if body:
            self.wfile.write(text)

    def _head(self, status: HTTPStatus, length: int | None, **fields: str) -> None:
        self.send_response(status)
        if length is None:
            self.close_connection = True  # its end is the only sign of the end
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.headers_sent = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One short line for each request, without a time zone's worth of decoration."""
        sys.stderr.write(f"{self.client_address[0]} {self.command} {self.path} {int(code)}\n")


def main() -> None:
    """Serve as the configuration file (the only argument) says, until killed."""
    configuration = json.loads(Path(sys.argv[1]).read_text())
    index = Index(Path(configuration["index"]), configuration["upstreams"])
    folders = {name: Path(place) for name, place in configuration["folders"].items()}
    Server((configuration["address"], configuration["port"]), index, folders).serve_forever()


if __name__ == "__main__":
    main()
