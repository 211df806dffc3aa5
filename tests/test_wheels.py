"""Wheels are chosen as installers choose them, downloaded once, and never taken unverified."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gevent
import pytest

from gpurig.errors import GpurigError, InputError
from gpurig.wheels import cache, lock_text
from gpurig.wheels.cache import Shelf
from gpurig.wheels.choice import Wheel, chosen
from gpurig.wheels.locks import Lock


def _pylock(*filenames: str, sdist: str = "") -> tuple[str, str]:
    """Where these files of a package ``demo`` are, and a lock that accepts them all."""
    rows, hashes = [], []
    for name in [*filenames, sdist]:
        digest = sha256(name.encode()).hexdigest()
        hashes.append(f"    --hash=sha256:{digest}")
        rows.append(f'{{ url = "https://i/{name}", hashes = {{ sha256 = "{digest}" }} }}')
    text = f'[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = [{", ".join(rows[:-1])}]\n'
    text += f"sdist = {rows[-1]}\n" if sdist else ""
    return text, "demo==1.0 \\\n" + " \\\n".join(hashes)


PURE = "demo-1.0-py3-none-any.whl"
NATIVE = "demo-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
STABLE = "demo-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"
OTHERS = (
    "demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "demo-1.0-cp313-cp313-manylinux_2_28_aarch64.whl",
    "demo-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
    "demo-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
    "demo-1.0-cp313-cp313-macosx_11_0_arm64.whl",
    "demo-1.0-cp313-cp313-win_amd64.whl",
)
SDIST = "demo-1.0.tar.gz"
CHOICES = {
    "built for this Python before the stable ABI": ((*OTHERS, PURE, STABLE, NATIVE), "", NATIVE),
    "the stable ABI before pure Python": ((*OTHERS, PURE, STABLE), SDIST, STABLE),
    "pure Python before a source": ((*OTHERS, PURE), SDIST, PURE),
}


@pytest.mark.parametrize(("files", "sdist", "best"), CHOICES.values(), ids=CHOICES)
def test_the_best_file_for_the_host_is_chosen(
    files: tuple[str, ...], sdist: str, best: str
) -> None:
    """In the order of PEP 425, whatever this machine's own Python is."""
    (wheel,) = chosen(*_pylock(*files, sdist=sdist), "3.13", "x86_64")
    assert wheel.filename == best


@pytest.mark.parametrize("sdist", ["", SDIST])
def test_nothing_that_fits_is_one_sentence(sdist: str) -> None:
    """It names the package, the Python and the architecture; a source takes no wheel's place."""
    with pytest.raises(GpurigError, match=r"demo 1\.0 .*Python 3\.13 on x86_64"):
        chosen(*_pylock(*OTHERS, sdist=sdist), "3.13", "x86_64")


def test_a_source_that_is_listed_is_taken_by_its_hash() -> None:
    """promise has no wheel."""
    digest = lock_text.SOURCES["promise"]
    text = (
        '[[packages]]\nname = "promise"\nversion = "2.3"\n'
        f'sdist = {{ url = "https://i/promise-2.3.tar.gz", hashes = {{ sha256 = "{digest}" }} }}\n'
    )
    lock = f"promise==2.3 --hash=sha256:{digest}\n"
    (wheel,) = chosen(text, lock, "3.13", "x86_64")
    assert (wheel.filename, wheel.sha256) == ("promise-2.3.tar.gz", digest)


CLIMBING = (
    "..%2F..%2F..%2Fdemo-1.0-py3-none-any.whl",
    "%2Fetc%2Fdemo-1.0-py3-none-any.whl",
    "other-1.0-py3-none-any.whl",
    "demo-1.1-py3-none-any.whl",
    "demo-1.0-1%0A2-py3-none-any.whl",
)


@pytest.mark.parametrize("name", CLIMBING)
def test_a_file_name_of_an_index_that_climbs_or_lies_is_refused(name: str) -> None:
    """What an index calls a file is a path on this machine and on hosts."""
    with pytest.raises((GpurigError, ValueError)) as error:
        chosen(*_pylock(name), "3.13", "x86_64")
    assert "\n" not in str(error.value)


def test_a_file_that_the_lock_does_not_know_is_not_there() -> None:
    """An index that has more files now than when the lock was made changes nothing."""
    text, _ = _pylock(NATIVE, PURE)
    (wheel,) = chosen(text, _pylock(PURE)[1], "3.13", "x86_64")
    assert wheel.filename == PURE


@dataclass
class Index:
    """A package index on this machine, and how often each file was asked for."""

    folder: Path
    url: str
    asked: Counter[str] = field(default_factory=Counter)


class _Counting(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked[self.path.rpartition("/")[2]] += 1  # type: ignore[attr-defined]  # set below
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index with one wheel, ``demo``."""
    folder = tmp_path / "index"
    (folder / "simple" / "demo").mkdir(parents=True)
    with zipfile.ZipFile(folder / PURE, "w") as wheel:
        about = "demo-1.0.dist-info"
        wheel.writestr("demo.py", "answer = 42\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    digest = sha256((folder / PURE).read_bytes()).hexdigest()
    (folder / "simple" / "demo" / "index.html").write_text(
        f'<a href="/{PURE}#sha256={digest}">{PURE}</a>'
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Counting, directory=str(folder)))
    found = Index(folder, f"http://127.0.0.1:{server.server_port}/simple/")
    server.asked = found.asked  # type: ignore[attr-defined]  # for its handler
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def _lock(index: Index) -> Lock:
    digest = sha256((index.folder / PURE).read_bytes()).hexdigest()
    return Lock("demo", f"demo==1.0 \\\n    --hash=sha256:{digest}\n")


@pytest.fixture
def shelf(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A cache that has nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setattr(cache, "_whole", set())
    return Shelf(tmp_path / "shelf", "x86_64", index.url)


def _fetches(index: Index, shelf: Shelf) -> int:
    """How often the wheel is downloaded for four hosts that ask at once, beside what uv reads."""
    lock = _lock(index)
    shelf._wanted(lock, "3.13")
    before = index.asked[PURE]
    hosts = [gevent.spawn(shelf.files, lock, "3.13") for _ in range(4)]
    gevent.joinall(hosts, raise_error=True)
    (file,) = hosts[0].value
    assert file.read_bytes() == (index.folder / PURE).read_bytes()
    return index.asked[PURE] - before


def test_one_download_for_all_hosts_and_runs(index: Index, shelf: Shelf) -> None:
    """Four hosts at once, and again in the next run, which needs no index any more."""
    assert _fetches(index, shelf) == 1
    cache._whole.clear()
    (index.folder / "simple" / "demo" / "index.html").unlink()
    assert _fetches(index, shelf) == 0


def test_a_damaged_file_of_the_cache_is_downloaded_again(index: Index, shelf: Shelf) -> None:
    """Its hash is compared before it is handed to anybody."""
    assert _fetches(index, shelf) == 1
    (file,) = shelf.files(_lock(index), "3.13")
    file.write_bytes(file.read_bytes()[:-9])
    cache._whole.clear()
    assert _fetches(index, shelf) == 1


def test_a_file_that_is_not_the_lock_s_is_refused(index: Index, shelf: Shelf) -> None:
    """One sentence with its name; nothing of it stays in the cache."""
    lock = _lock(index)
    shelf._wanted(lock, "3.13")
    (index.folder / PURE).write_bytes(b"<html>Please log in</html>")
    with pytest.raises(
        GpurigError, match=r"demo-1\.0-py3-none-any\.whl: .*its SHA256 .* is not in the lock"
    ):
        shelf.files(lock, "3.13")
    assert not list(shelf.folder.rglob("*.whl")) + list(shelf.folder.rglob(".[0-9]*"))


def _forged(index: Index, shelf: Shelf, **words: str) -> list[Path]:
    """What a shelf hands over after somebody else wrote the file in which it keeps what to take."""
    lock = _lock(index)
    (row,) = (vars(wheel) for wheel in shelf._wanted(lock, "3.13"))
    (kept,) = shelf.folder.glob("*.json")
    kept.write_text(json.dumps([{**row, **words}] if words else []))
    return shelf.files(lock, "3.13")


@pytest.mark.parametrize(
    "words",
    [
        {"filename": "../../../climbed/demo-1.0-py3-none-any.whl"},
        {"filename": "/tmp/gpurig-climbed/demo-1.0-py3-none-any.whl"},
        {"filename": "demo-1.0-py3-none-any.whl\n"},
        {"filename": "evil-1.0-py3-none-any.whl"},
        {"name": "evil"},
        {"sha256": "0" * 64},
        {"sha256": "../../climbed"},
        {},
    ],
    ids=str,
)
def test_what_the_cache_remembers_is_checked_against_the_lock(
    index: Index, shelf: Shelf, tmp_path: Path, words: dict[str, str]
) -> None:
    """A name that climbs, another hash, another file, one too few: it is asked for again."""
    (file,) = _forged(index, shelf, **words)
    assert file == shelf.folder / sha256(file.read_bytes()).hexdigest()[:16] / PURE
    assert file.read_bytes() == (index.folder / PURE).read_bytes()
    assert not [found for found in tmp_path.rglob("*climbed*") if found != tmp_path]


def test_another_place_to_download_from_changes_no_byte(index: Index, shelf: Shelf) -> None:
    """The cache may say where from, never what."""
    (index.folder / "evil.whl").write_bytes(b"evil")
    with pytest.raises(GpurigError, match=r"its SHA256 .* is not in the lock"):
        _forged(index, shelf, url=index.url.replace("simple/", "evil.whl"))


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_cache_that_others_can_write_is_not_used(index: Index, shelf: Shelf, mode: int) -> None:
    """Neither is read from it nor written to it; the sentence names the folder and the way out."""
    shelf.folder.mkdir(mode=0o700)
    shelf.folder.chmod(mode)
    with pytest.raises(InputError, match=r"can be changed by other users; .*chmod go-w"):
        shelf.files(_lock(index), "3.13")
    assert not list(shelf.folder.iterdir())


def test_a_wheel_of_somebody_else_is_not_used(index: Index, shelf: Shelf) -> None:
    """Also where its bytes are right now."""
    (file,) = shelf.files(_lock(index), "3.13")
    os.chown(file, 60999, 60999)
    with pytest.raises(InputError, match="belongs to uid 60999"):
        shelf.files(_lock(index), "3.13")


class _Redirecting(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.told.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]  # set below
        if target := self.server.target:  # type: ignore[attr-defined]  # set below
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
        else:
            self.send_response(404)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.mark.parametrize("place", ["another server", "the same server"])
def test_the_password_of_an_index_follows_no_redirect(tmp_path: Path, place: str) -> None:
    """Whoever is sent somewhere else by the index does not take it along."""
    told: dict[str, list[str | None]] = {"index": [], "other": []}
    servers = {}
    for name in told:
        servers[name] = ThreadingHTTPServer(("127.0.0.1", 0), _Redirecting)
        servers[name].told, servers[name].target = told[name], ""  # type: ignore[attr-defined]  # for its handler
        threading.Thread(target=servers[name].serve_forever, args=(0.02,), daemon=True).start()
    here, other = (f"127.0.0.1:{server.server_port}" for server in servers.values())
    target = f"http://{other}/{PURE}" if place == "another server" else f"http://{here}/again"
    servers["index"].target = target  # type: ignore[attr-defined]  # for its handler
    wheel = Wheel("demo", PURE, f"http://{here}/{PURE}", "0" * 64)
    shelf = Shelf(tmp_path / "shelf", "x86_64", f"http://ada:geheim@{here}/simple/")
    with pytest.raises(OSError, match=r"404|redirect"):
        shelf._download(wheel, tmp_path / "shelf" / PURE)
    for server in servers.values():
        server.shutdown()
        server.server_close()
    (first, *others) = told["index"]
    assert first == "Basic YWRhOmdlaGVpbQ=="
    assert {*others, *told["other"]} == {None}


@pytest.mark.parametrize(
    "url",
    [
        "http://index.example.com/x.whl",
        "https://index.example.com:8443/x.whl",
        "https://other.example.com/x.whl",
        "https://index.example.com.evil.example/x.whl",
        "https://index.example.com@evil.example/x.whl",
        "file://index.example.com/x.whl",
    ],
)
def test_the_password_of_an_index_goes_to_its_own_server_only(url: str) -> None:
    """Another name, port or scheme is another server."""
    index = "https://ada:geheim@index.example.com/simple/"
    assert not cache._authorization(url, index)
    assert cache._authorization("https://index.example.com/x.whl", index)
