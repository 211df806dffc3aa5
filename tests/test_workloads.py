"""The training programs: their command lines, and archives that are used only when original."""

from __future__ import annotations

import gzip
import hashlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpurig.workloads import mnist
from gpurig.workloads.mnist import ARCHIVES, BadInput, fetch_archives

PROGRAMS = Path(__file__).parents[1] / "workloads"
NAME = "t10k-labels-idx1-ubyte.gz"
CONTENT = {name: gzip.compress(name.encode() * 50, mtime=0) for name in ARCHIVES}
WANTED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with four small archives, whose checksums are `WANTED`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty folder to fetch into."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without writing a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address(mirror: Path) -> Iterator[str]:
    """The mirror, served over HTTP on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, without site-packages: it may import nothing heavy yet."""
    command = [sys.executable, "-E", "-S", str(PROGRAMS / program), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("program", ["mnist_keras.py", "mnist_pytorch.py", "matmul.py"])
def test_help_needs_only_the_standard_library(program: str) -> None:
    """`--help` answers where nothing is installed."""
    told = run(program, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert "--seed" in told.stdout


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("mnist_keras.py", ["--epochs", "0"]),
        ("mnist_keras.py", ["--batch-size", "many"]),
        ("mnist_keras.py", ["--threshold", "high"]),
        ("mnist_keras.py", ["--unknown"]),
        ("matmul.py", ["--size", "1"]),
        ("matmul.py", ["--size", "16385"]),
        ("matmul.py", ["--seed", "x"]),
    ],
)
def test_bad_arguments_exit_2(program: str, options: list[str]) -> None:
    """A bad argument is named in the last line, without a traceback or a result."""
    told = run(program, *options)
    assert (told.returncode, told.stdout) == (2, "")
    assert options[0] in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("program", ["mnist_keras.py", "mnist_pytorch.py", "matmul.py"])
def test_missing_packages_exit_2(program: str) -> None:
    """Without TensorFlow the last line names the module that is missing."""
    told = run(program)
    assert (told.returncode, told.stdout) == (2, "")
    assert "No module named" in told.stderr.splitlines()[-1]


def test_originals_from_a_folder(mirror: Path, target: Path) -> None:
    """Archives with the right checksums are copied byte for byte."""
    fetch_archives(str(mirror), target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


def test_originals_from_a_file_address(mirror: Path, target: Path) -> None:
    """A file: address is read as its folder is."""
    fetch_archives(mirror.as_uri(), target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


@pytest.mark.parametrize("end", ["", "/"])
def test_originals_over_http(address: str, target: Path, end: str) -> None:
    """An HTTP mirror is read, with or without a slash at its end."""
    fetch_archives(address + end, target, WANTED)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == CONTENT


BAD = {
    "a web page": b"<!DOCTYPE html><title>Sign in</title>",
    "truncated or changed": CONTENT[NAME][:-9],
    "not a gzip archive": b"\x00" + CONTENT[NAME][1:],
}


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize(("seems", "content"), BAD.items())
def test_other_content_is_refused(
    mirror: Path, address: str, target: Path, seems: str, content: bytes, over_http: bool
) -> None:
    """One sentence names the file, what it seems to be, and both checksums."""
    (mirror / NAME).write_bytes(content)
    with pytest.raises(BadInput) as refused:
        fetch_archives(address if over_http else str(mirror), target, WANTED)
    sentence = str(refused.value)
    for part in (NAME, seems, WANTED[NAME], hashlib.sha256(content).hexdigest()):
        assert part in sentence


def test_one_flipped_bit_is_refused(mirror: Path, target: Path) -> None:
    """An archive of the right size with one bit changed is not the original."""
    content = bytearray(CONTENT[NAME])
    content[-1] ^= 1
    (mirror / NAME).write_bytes(content)
    with pytest.raises(BadInput, match="truncated or changed"):
        fetch_archives(str(mirror), target, WANTED)


@pytest.mark.parametrize("over_http", [False, True])
def test_a_missing_archive_is_named(
    mirror: Path, address: str, target: Path, over_http: bool
) -> None:
    """A mirror that lacks one archive is refused with that archive's name."""
    (mirror / NAME).unlink()
    with pytest.raises(BadInput, match=f"{NAME} cannot be read"):
        fetch_archives(address if over_http else str(mirror), target, WANTED)


def test_an_unreachable_mirror_is_never_replaced(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: the mirror is refused, and the fallback data are not loaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/mnist"

    def from_the_mirror(data_dir: str | None, mirror: str | None) -> mnist.Data:
        assert mirror is not None
        fetch_archives(mirror, target, WANTED)
        return mnist.Data(mnist.ORIGINALS, ((), ()), ((), ()))

    monkeypatch.setattr(mnist, "load_archives", from_the_mirror)
    monkeypatch.setattr(mnist, "load_digits", lambda: pytest.fail("fallback data"))
    with pytest.raises(BadInput, match="Connection refused"):
        mnist.load(str(target), closed)


def test_the_originals_checksums_are_wanted_by_default(mirror: Path, target: Path) -> None:
    """Without other checksums, only the real archives pass."""
    with pytest.raises(BadInput, match=ARCHIVES["train-images-idx3-ubyte.gz"]):
        fetch_archives(str(mirror), target)
