"""The archives on the control machine: fetched once, originals only, compared each time."""

from __future__ import annotations

import gzip
import hashlib
import socket
from pathlib import Path

import pytest

from gpurig import store
from gpurig.errors import InputError
from gpurig.operations.workloads import seems
from gpurig.settings.checks import validate
from gpurig.wheels import datasets

CONTENT = {name: gzip.compress(name.encode() * 50, mtime=0) for name in datasets.ARCHIVES}
NAME = next(iter(CONTENT))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four small archives, which are the originals in this test; an empty cache."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(datasets, "ARCHIVES", sums)
    monkeypatch.setattr(datasets, "_unreached", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_mirror_is_read_once(mirror: Path) -> None:
    """What is kept is used without it, also for a mirror of another name."""
    kept = datasets.archives(str(mirror))
    for file in mirror.iterdir():
        file.unlink()
    assert datasets.archives("http://nobody.invalid/") == kept
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == CONTENT


def test_what_was_damaged_in_the_cache_is_fetched_again(mirror: Path) -> None:
    """No archive is handed over that was not compared just now."""
    kept = datasets.archives(mirror.as_uri())
    (kept / NAME).write_bytes(b"broken")
    assert (datasets.archives(str(mirror)) / NAME).read_bytes() == CONTENT[NAME]


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (b"<html>Sign in</html>", "a web page"),
        (CONTENT[NAME][:-4], "truncated or changed"),
        (b"PK\x03\x04", "not a gzip archive"),
    ],
)
def test_a_mirror_with_another_file_is_refused(mirror: Path, content: bytes, seems: str) -> None:
    """The sentence has the file, the mirror, what it is, and both checksums; nothing is kept."""
    (mirror / NAME).write_bytes(content)
    settings = validate({"rig_data_mirror": str(mirror)}, "x")
    with pytest.raises(InputError) as refused:
        datasets.refuse_wrong(settings, "gpu01")
    sentence = str(refused.value)
    for part in ("gpu01, rig_data_mirror", NAME, str(mirror), seems, datasets.ARCHIVES[NAME]):
        assert part in sentence
    assert hashlib.sha256(content).hexdigest() in sentence
    assert not (store.cache() / "data").exists()


def test_a_mirror_that_does_not_answer_is_left_to_the_hosts(mirror: Path) -> None:
    """It may be reachable from there; the reason is kept for this run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/mnist"
    datasets.refuse_wrong(validate({"rig_data_mirror": closed}, "x"), "gpu01")
    with pytest.raises(datasets.Unreached, match="refused"):
        datasets.archives(closed)
    (mirror / NAME).unlink()
    with pytest.raises(datasets.Unreached, match=f"{NAME} cannot be fetched from .*No such file"):
        datasets.archives(str(mirror))


def test_a_folder_that_this_machine_lacks_is_named_before_anything_changes(mirror: Path) -> None:
    """Even where the archives are kept from before; on another host it may be there."""
    settings = validate({"rig_data_mirror": "/nosuch/mnist"}, "x")
    said = "@local, rig_data_mirror: /nosuch/mnist does not exist on this machine; make the folder"
    for _ in ("nothing is kept", "the archives are"):
        with pytest.raises(InputError, match=said):
            datasets.refuse_wrong(settings, "@local", here=True)
        datasets.refuse_wrong(settings, "gpu01")
        datasets.archives(str(mirror))
    datasets.refuse_wrong(validate({"rig_data_mirror": str(mirror)}, "x"), "@local", here=True)


def test_a_host_without_environments_needs_no_data(mirror: Path) -> None:
    """A wrong mirror is nobody's business there."""
    (mirror / NAME).write_bytes(b"<html>")
    wishes = {"rig_data_mirror": str(mirror), "rig_components": ["docker"]}
    datasets.refuse_wrong(validate(wishes, "x"), "gpu01")


@pytest.mark.parametrize(
    ("head", "words"),
    [("3c21", "a web page"), ("1f8b", "truncated"), ("", "not a gzip"), ("504b", "not a gzip")],
)
def test_a_wrong_file_on_a_host_is_named(head: str, words: str) -> None:
    """By its first bytes."""
    assert words in seems({"sha256": "0" * 64, "head": head, "closed": False})
    assert seems(None) == "is missing"
