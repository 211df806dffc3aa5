"""Locks: every shipped one is whole, and the nearest one counts."""

from __future__ import annotations

import re
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
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "==" in entry.splitlines()[0]
        assert "--hash=sha256:" in entry


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


def test_the_build_part_is_of_the_lock() -> None:
    """What is installed first is a part of the lock, with its hashes."""
    text = next(file for file in SHIPPED if file.stem != "uv").read_text()
    part = locks.build_part(text)
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


def test_arguments_that_pyinfra_prints_are_short() -> None:
    """The text of a lock is not among what is printed of it."""
    assert repr(locks.Lock("key", "text")) == "Lock(key='key')"
