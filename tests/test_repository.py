"""What is tracked is text of our own size: no program, no archive, nothing huge."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 100_000  # bytes
# How a file of each kind begins, and at which byte that is.
MAGIC = {
    "a program for Linux": (0, b"\x7fELF"),
    "a program for Windows": (0, b"MZ\x90\0"),
    "a gzip archive": (0, b"\x1f\x8b"),
    "an xz archive": (0, b"\xfd7zXZ\0"),
    "a bzip2 archive": (0, b"BZh"),
    "a zstd archive": (0, b"\x28\xb5\x2f\xfd"),
    "a zip archive or wheel": (0, b"PK\x03\x04"),
    "a 7z archive": (0, b"7z\xbc\xaf\x27\x1c"),
    "a .deb or static library": (0, b"!<arch>\n"),
    "an .rpm": (0, b"\xed\xab\xee\xdb"),
    "a tar archive": (257, b"ustar"),
}
# Larger than the limit, and why: a path, or a folder that ends in a slash.
LARGE = {
    "src/gpurig/wheels/data/locks/": "each package with the sha256 of all its files",
}


def kind(content: bytes) -> str:
    """What a file is that should not be here; "" for any other."""
    for name, (place, magic) in MAGIC.items():
        if content[place : place + len(magic)] == magic:
            return name
    return ""


def tracked() -> list[str]:
    """The paths of the tracked files; links are left out, their targets are tracked themselves."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = [name for name in listed.split("\0") if name]
    return [n for n in names if (ROOT / n).is_file() and not (ROOT / n).is_symlink()]


def test_no_program_and_no_archive_is_tracked() -> None:
    """What tests need of programs and archives they make themselves."""
    found = {name: kind((ROOT / name).read_bytes()) for name in tracked()}
    assert not {name: what for name, what in found.items() if what}


def test_what_is_large_has_a_reason() -> None:
    """A file beyond the limit is listed with its reason, and each listed one is that large."""
    large = {name for name in tracked() if (ROOT / name).stat().st_size > LIMIT}
    reasons = {
        name: next((key for key in LARGE if name == key or name.startswith(key)), None)
        for name in large
    }
    assert [name for name, key in reasons.items() if key is None] == []
    assert set(LARGE) == set(reasons.values()), "a reason that nothing needs"


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    return made.getvalue()


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("empty", "")
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x7fELF\x02\x01\x01", "a program for Linux"),
        (gzip.compress(b""), "a gzip archive"),
        (bz2.compress(b""), "a bzip2 archive"),
        (lzma.compress(b""), "an xz archive"),
        (_tar(), "a tar archive"),
        (_zip(), "a zip archive or wheel"),
        (b"!<arch>\ndebian-binary", "a .deb or static library"),
        (b"PKG=1\n", ""),
        (b"#!/bin/sh\n", ""),
        (b"", ""),
    ],
)
def test_each_is_known_by_its_first_bytes(content: bytes, what: str) -> None:
    """Whatever its name."""
    assert kind(content) == what
