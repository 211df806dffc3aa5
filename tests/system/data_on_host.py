"""
Runs on a host, with its environment and its workloads: data that are damaged, copied or foreign.

Arguments: a folder with archives and prepared data, and an empty one to work in. Each case prints
its name once it is right.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from pathlib import Path

import mnist

FULL, WORK = Path(sys.argv[1]), Path(sys.argv[2])


def case(name: str) -> Path:
    """A copy of the whole folder."""
    return Path(shutil.copytree(FULL, WORK / name))


def load(folder: Path) -> tuple[mnist.Data, str]:
    """What is loaded without any mirror, and what is said; it must be MNIST."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        data = mnist.load(str(folder), "/nonexistent")
    for part, (images, labels) in {"train": data.train, "test": data.test}.items():
        assert mnist.content((images * 255).round().astype("uint8"), labels) == mnist.CONTENT[part]
    return data, said.getvalue()


def refused(folder: Path) -> str:
    """The sentence with which it is refused."""
    try:
        mnist.load(str(folder), "/nonexistent")
    except mnist.BadInput as error:
        return str(error)
    raise AssertionError(f"{folder} was not refused")


def damage(file: Path) -> Path:
    """Cut off its last bytes."""
    file.write_bytes(file.read_bytes()[:-100])
    return file


def train_file(folder: Path) -> Path:
    """The prepared training images."""
    (file,) = (file for file in folder.glob("mnist/*/*train*") if file.is_file())
    return file


data, said = load(case("as it is"))
assert (data.source, said) == (mnist.PREPARED, "")
print("prepared")

read = mnist.load_archives(FULL, None)
for part, (images, labels) in {"train": read.train, "test": read.test}.items():
    assert mnist.content((images * 255).round().astype("uint8"), labels) == mnist.CONTENT[part]
assert (read.train[0].shape, read.test[0].shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
print("read from the archives")

folder = case("copied")
(folder / mnist.MANIFEST).unlink()
assert load(folder)[1] == ""
assert mnist.compare(folder) is None
print("copied without its manifest: adopted")

folder = case("damaged")
file = damage(train_file(folder))
data, said = load(folder)
assert f"{file} is truncated or changed; preparing it again" in said
assert mnist.compare(folder) is None
print("damaged: prepared again")

folder = case("foreign and damaged")
(folder / mnist.MANIFEST).unlink()
file = damage(train_file(folder))
before = file.read_bytes()
assert str(folder / "mnist") in refused(folder)
assert file.read_bytes() == before
print("copied and damaged: refused, and kept")

folder = case("damaged archive")
shutil.rmtree(folder / "mnist")
damage(folder / "archives" / "train-images-idx3-ubyte.gz")
assert "train-images-idx3-ubyte.gz is truncated or changed" in refused(folder)
print("damaged archive: named")
