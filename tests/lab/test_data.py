"""MNIST comes from the shared folder, else by the product's download; else one sentence."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mnist
import pytest

from . import data
from .errors import LabMissing
from .lab import Lab

CONTENT = {name: gzip.compress(name.encode() * 50, mtime=0) for name in mnist.ARCHIVES}


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of four small archives, which are the originals in this test."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(mnist, "ARCHIVES", sums)
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_shared_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is downloaded and nothing copied."""
    (tmp_path / "shared/data/mnist").mkdir(parents=True)
    found = data.archives(tmp_path / "shared", tmp_path / "kept", "http://127.0.0.1:1/")
    assert found == tmp_path / "shared/data/mnist"
    assert not (tmp_path / "kept").exists()


def test_without_it_they_are_downloaded_once(tmp_path: Path, mirror: str) -> None:
    """The four originals lie in the lab's own folder, and are found there without the mirror."""
    found = data.archives(tmp_path / "none", tmp_path / "kept", mirror)
    assert {file.name: file.read_bytes() for file in found.iterdir()} == CONTENT
    assert data.archives(tmp_path / "none", tmp_path / "kept", "http://127.0.0.1:1/") == found


def test_without_either_there_is_one_sentence(tmp_path: Path) -> None:
    """It names the place, what was tried and the setting."""
    with pytest.raises(LabMissing) as missing:
        data.archives(tmp_path / "none", tmp_path / "kept", "http://127.0.0.1:1/")
    said = str(missing.value)
    assert "\n" not in said
    for words in ("http://127.0.0.1:1/", f"{tmp_path}/none/data/mnist", "GPURIG_SHARED"):
        assert words in said


def test_a_download_that_is_not_the_original_is_refused(tmp_path: Path, mirror: str) -> None:
    """A changed archive is named and not kept."""
    name = next(iter(CONTENT))
    (tmp_path / "mirror" / name).write_bytes(b"<html>")
    with pytest.raises(LabMissing, match=name):
        data.archives(tmp_path / "none", tmp_path / "kept", mirror)
    assert not (tmp_path / "kept/archives" / name).exists()


def test_the_lab_keeps_them_in_its_own_folder(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody shares MNIST, what the lab serves is what it downloaded."""
    monkeypatch.setattr(mnist, "ORIGINAL", mirror)
    found = Lab(tmp_path / "lab", tmp_path / "none").mnist
    assert found.is_relative_to(tmp_path / "lab")
    assert {file.name: file.read_bytes() for file in found.iterdir()} == CONTENT
