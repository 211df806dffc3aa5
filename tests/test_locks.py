"""Locks: every shipped one is whole, and the nearest one counts."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from gpurig import locks
from gpurig.errors import GpurigError
from gpurig.stack.model import Environment

SHIPPED = sorted((Path(locks.__file__).parent / "stack" / "locks").glob("*.txt"))


def _environment(lock: str, *pins: str) -> Environment:
    return Environment("tensorflow", "tensorflow", None, "2.21.0", "3.13", "cpu", pins, lock)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_pin_has_a_hash_and_no_host_is_named(file: Path) -> None:
    """What is downloaded is verified, from whichever index."""
    text = file.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(i|e|r|c|-index|-extra|-find|-trusted)", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert "==" in entry.splitlines()[0]
        assert re.findall(r"--hash=(\w+):([0-9a-f]+)", entry)
        for kind, digest in re.findall(r"--hash=(\w+):(\w+)", entry):
            assert (kind, len(digest)) == ("sha256", 64)
    names = Counter(locks.normalised(re.split(r"[=\[]", entry)[0]) for entry in entries)
    assert len(locks.pins(text)) == len(entries)
    assert names.most_common(1)[0][1] == 1


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_lock_holds_what_its_name_says(file: Path) -> None:
    """The key's framework and version are pinned; CUDA's libraries only where it says cuda."""
    pins = locks.pins(file.read_text())
    if file.stem == "uv":
        assert list(pins) == ["uv"]
        return
    framework, version, *_, accelerator = file.stem.split("-")
    assert pins[framework] == version
    assert ("nvidia-cudnn-cu12" in pins) is (accelerator == "cuda")
    assert {"tensorflow-datasets", "nvidia-ml-py", "setuptools"} <= set(pins)


@pytest.mark.parametrize("file", [f for f in SHIPPED if f.stem != "uv"], ids=lambda f: f.stem)
def test_the_build_part_is_of_the_lock(file: Path) -> None:
    """What is installed first is a part of the lock, with its hashes."""
    text = file.read_text()
    part = locks.build_part(text)
    assert "--hash=sha256:" in part
    assert list(locks.pins(part)) == [locks.BUILD]
    assert part.strip() in text


def test_the_nearest_lock_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """locks/ of the working folder, then the user's own, then what ships."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    name = next(file.stem for file in SHIPPED if file.stem != "uv")
    wanted = _environment(name)
    assert locks.find(wanted, "x86_64").text == (SHIPPED[0].parent / f"{name}.txt").read_text()
    own = tmp_path / "config/gpurig/locks"
    own.mkdir(parents=True)
    (own / f"{name}.txt").write_text("own==1\n")
    assert locks.find(wanted, "x86_64").text == "own==1\n"
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"{name}.txt").write_text("beside==1\n")
    assert locks.find(wanted, "x86_64").text == "beside==1\n"


def test_what_cannot_be_resolved_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index without the package: what, where, what to do; nothing is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    index = tmp_path / "simple"
    index.mkdir()
    with pytest.raises(GpurigError, match="cannot be resolved") as error:
        locks.find(_environment("none", "no-such-thing==1"), "x86_64", index.as_uri())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "gpurig/locks/none.txt").exists()


def test_without_uv_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that ships or was kept needs no uv; one that has to be resolved does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert locks.find(_environment(SHIPPED[0].stem), "x86_64").text
    with pytest.raises(GpurigError, match="uv, which resolves it, does not start") as error:
        locks.find(_environment("none", "no-such-thing==1"), "x86_64")
    assert "\n" not in str(error.value)


def _published(index: Path, name: str, version: str) -> str:
    """Put an empty wheel into a folder that serves as an index; its SHA-256."""
    folder = index / name
    folder.mkdir(parents=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_one_that_is_nowhere_is_resolved_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By uv, with the index's own hashes, and without the index's name; then it is the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    index = tmp_path / "simple"
    sums = {name: _published(index, name, "1.0") for name in ("framework", locks.BUILD)}
    found = locks.find(_environment("own", "framework==1.0"), "x86_64", index.as_uri())
    assert locks.pins(found.text) == {"framework": "1.0", locks.BUILD: "1.0"}
    for digest in sums.values():
        assert f"--hash=sha256:{digest}" in found.text
    assert str(tmp_path) not in found.text
    assert [f.name for f in (tmp_path / "config/gpurig/locks").iterdir()] == ["own.txt"]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("resolved twice")

    monkeypatch.setattr(subprocess, "run", never)
    assert locks.find(_environment("own", "framework==1.0"), "x86_64").text == found.text


def test_one_that_cannot_be_kept_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it should lie, and why it does not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("framework", locks.BUILD):
        _published(tmp_path / "simple", name, "1.0")
    with pytest.raises(GpurigError, match=r"own\.txt: cannot be written"):
        locks.find(_environment("own", "framework"), "x86_64", (tmp_path / "simple").as_uri())


def test_arguments_that_pyinfra_prints_are_short() -> None:
    """The text of a lock is not among what is printed of it."""
    assert "its text" not in repr(locks.Lock("key", "its text"))
