"""
The MNIST data set: fetched once, compared with its checksums, read with or without TensorFlow.

It is shared by the programs beside it, and needs only NumPy; what a folder of data holds:

    archives/            the four original archives, each compared with its sha256
    mnist/               what tensorflow_datasets prepares from them, where it is installed
    mnist-manifest.json  the sha256 of each prepared file
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# sha256 of the original archives, as tensorflow_datasets registers them for "mnist"
# (tensorflow_datasets/url_checksums/mnist.txt).
# fmt: off
ARCHIVES = {
    "train-images-idx3-ubyte.gz":
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz":
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz":
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz":
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
# fmt: on
ORIGINAL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # where tensorflow_datasets looks
PARTS = {"train": "train", "test": "t10k"}
# `content` of the originals: whoever prepared them, and in whatever order.
CONTENT = {
    "train": "386a0fff07efe9ae3f934853780556ca1fe630371d4964508a3e3256c2063b0e",
    "test": "292a2c8e9008782f6c6c94df46012a17c808c2666413d175e62502bbcf68dd61",
}

PREPARED, ORIGINALS, DIGITS = "tensorflow_datasets", "original archives", "fallback: UCI digits"
MANIFEST = "mnist-manifest.json"
NETWORK_SECONDS = 20


class BadInput(Exception):
    """Arguments or data that cannot be used; the sentence says which and why."""


class Unreachable(BadInput):
    """A place of data that does not answer."""


@dataclass
class Data:
    """Images as float32 in [0, 1], shape (n, height, width, 1), and labels 0 to 9, shape (n,)."""

    source: str
    train: tuple[Any, Any]
    test: tuple[Any, Any]


def say(text: str) -> None:
    """Words for people."""
    print(text, file=sys.stderr, flush=True)


def load(data_dir: str | None, mirror: str | None) -> Data:
    """
    MNIST, or, where nobody named a mirror and none is reached, the digits, said loudly.

    + data_dir: the folder of data; default: that of tensorflow_datasets, ``~/tensorflow_datasets``
    + mirror: a folder, or a file:, http: or https: address of the four archives
    """
    folder = Path(data_dir).absolute() if data_dir else Path.home() / "tensorflow_datasets"
    try:
        with alone(folder):
            if importlib.util.find_spec("tensorflow_datasets"):
                return load_prepared(folder, mirror)
            return load_archives(folder, mirror)
    except Unreachable as error:
        if mirror:  # a mirror that was asked for is never silently replaced by something else
            raise
        say(f"{error}; using UCI digits instead of MNIST")
        return load_digits()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One program at a time fetches and prepares data; the others wait and find them there."""
    file = folder / ".mnist.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM) or not folder.is_dir():
            raise BadInput(f"{folder} cannot be used for data ({error.strerror})") from error
        lock = os.open(folder, os.O_RDONLY)  # what somebody else put there can be read
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# The archives


def archives(folder: Path, mirror: str | None) -> Path:
    """
    The folder of the four archives; what is missing or damaged is fetched, the rest compared.

    BadInput names a damaged archive that cannot be fetched again.
    """
    place = folder / "archives"
    for name, checksum in ARCHIVES.items():
        file = place / name
        told = difference(file, checksum)
        if told is None:
            continue
        if told:
            say(f"{place}: {told}; fetching it again")
        writable(folder)
        place.mkdir(exist_ok=True)
        try:
            fetch_archives(mirror or ORIGINAL, place, {name: checksum})
        except Unreachable as error:
            if told:
                raise BadInput(f"{place}: {told}; {error}") from error
            raise
    return place


def difference(file: Path, checksum: str) -> str | None:
    """What is wrong with an archive: nothing (None), that it is missing (""), or in words."""
    if not file.exists():
        return ""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found == checksum:
        return None
    return f"{file.name} is {kind(file)}: sha256 {found}, not {checksum}"


def fetch_archives(mirror: str, folder: Path, wanted: dict[str, str] | None = None) -> None:
    """
    Copy the four archives from a mirror into a folder, each compared with its checksum.

    + mirror: a folder, or a file:, http: or https: address that holds them
    + wanted: sha256 by file name

    Unreachable or BadInput name the file that is not there or not the original; only an original
    takes its name in the folder.
    """
    for name, checksum in (wanted or ARCHIVES).items():
        staged = folder / f".{name}.part"
        try:
            _copy(mirror, name, staged)
            told = difference(staged, checksum)
            if told is not None:
                raise BadInput(f"{shown(mirror)}: {told.replace(staged.name, name)}")
            staged.chmod(0o644)
            staged.replace(folder / name)
        except OSError as error:
            raise BadInput(f"{folder / name} cannot be written ({error.strerror})") from error
        finally:
            staged.unlink(missing_ok=True)


def shown(mirror: str) -> str:
    """An address without the password that may be in it."""
    before, at, after = mirror.rpartition("@")
    return f"{before.split('://')[0]}://…@{after}" if at and "://" in before else mirror


def _copy(mirror: str, name: str, target: Path) -> None:
    remote = urllib.parse.urlsplit(mirror).scheme
    try:
        address = f"{mirror.rstrip('/')}/{name}"
        source = (
            urllib.request.urlopen(address, timeout=NETWORK_SECONDS)
            if remote
            else (Path(mirror) / name).open("rb")
        )
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unread(mirror, name, error) from error
    with source:
        try:
            content = source.read()
        except (OSError, http.client.HTTPException) as error:
            raise _unread(mirror, name, error) from error
    target.write_bytes(content)


def _unread(mirror: str, name: str, error: Exception) -> Unreachable:
    reason = getattr(error, "reason", None) or error
    return Unreachable(f"{shown(mirror)}: {name} cannot be read ({reason})")


def kind(file: Path) -> str:
    """What a file that is not the original seems to be."""
    with file.open("rb") as opened:
        head = opened.read(512).lstrip()
    if head[:1] == b"<":
        return "a web page instead of an archive"
    if head[:2] != b"\x1f\x8b":
        return "not a gzip archive"
    return "truncated or changed"


def load_archives(folder: Path, mirror: str | None) -> Data:
    """MNIST read from the original archives."""
    place = archives(folder, mirror)
    parts = [
        (
            _scaled(read_idx(place / f"{part}-images-idx3-ubyte.gz")[..., None], 255.0),
            read_idx(place / f"{part}-labels-idx1-ubyte.gz").astype("int64"),
        )
        for part in PARTS.values()
    ]
    return Data(ORIGINALS, *parts)


def read_idx(file: Path) -> Any:
    """
    An array of bytes in IDX format, gzip'd: two zeros, 8 (bytes), the number of dimensions,
    each dimension as four bytes, most significant first; then the content.

    Source: the format's description on the original page, http://yann.lecun.com/exdb/mnist/.
    """
    import numpy as np

    try:
        content = gzip.decompress(file.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{file} is {kind(file)} ({error})") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise BadInput(f"{file} is not an IDX file of bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    if len(shape) != dimensions or len(content) - start != int(np.prod(shape)):
        raise BadInput(f"{file} holds {len(content) - start} bytes, not {shape}")
    return np.frombuffer(content, "uint8", offset=start).reshape(shape)


# What tensorflow_datasets prepares


def load_prepared(folder: Path, mirror: str | None) -> Data:
    """
    MNIST through tensorflow_datasets, prepared from the archives where it is not yet.

    What was prepared here and is damaged is prepared again; what others prepared is used if its
    content is MNIST, and never removed.
    """
    manifest = folder / MANIFEST
    if manifest.exists() and (damaged := compare(folder)):
        say(f"{damaged}; preparing it again")
        writable(folder)
        for place in {(folder / name).parent for name in _listed(folder)}:
            shutil.rmtree(place, ignore_errors=True)
        manifest.unlink()
    if not (folder / "mnist").exists() or not any((folder / "mnist").iterdir()):
        manifest.unlink(missing_ok=True)
        prepare(folder, archives(folder, mirror))
    train, test = read_prepared(folder)
    if not manifest.exists():
        for part, (images, labels) in {"train": train, "test": test}.items():
            if content(images, labels) != CONTENT[part]:
                raise BadInput(
                    f"the {part} images in {folder / 'mnist'} are not those of MNIST; remove the"
                    " folder, or name another --data-dir"
                )
        write_manifest(folder)
    return Data(
        PREPARED,
        (_scaled(train[0], 255.0), train[1]),
        (_scaled(test[0], 255.0), test[1]),
    )


def prepare(folder: Path, source: Path) -> None:
    """Have tensorflow_datasets prepare MNIST from a folder of its archives."""
    import tensorflow_datasets as tfds

    writable(folder)
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=str(source))
    try:
        with (
            contextlib.redirect_stdout(sys.stderr),
            tempfile.TemporaryDirectory(prefix=".mnist-", dir=folder) as unpacked,
        ):
            tfds.builder("mnist", data_dir=str(folder)).download_and_prepare(
                download_dir=unpacked, download_config=config
            )
    except Exception as error:  # whatever its many writers raise, where the disk is full
        raise BadInput(f"{folder}: MNIST cannot be prepared ({_first_line(error)})") from error


def read_prepared(folder: Path) -> list[tuple[Any, Any]]:
    """Images (bytes) and labels for training and for testing."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder("mnist", data_dir=str(folder))
        splits = tfds.as_numpy(builder.as_dataset(split=["train", "test"], batch_size=-1))
    except Exception as error:  # whatever its many readers raise at files that are damaged
        raise BadInput(
            f"{folder / 'mnist'} cannot be read ({_first_line(error)}); remove it, or name"
            " another --data-dir"
        ) from error
    return [(part["image"], part["label"]) for part in splits]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def content(images: Any, labels: Any) -> str:
    """sha256 of images and labels, bytes, in whatever order they come."""
    import numpy as np

    rows = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    return hashlib.sha256(
        b"".join(sorted(row.tobytes() for row in rows.astype("uint8")))
    ).hexdigest()


def compare(folder: Path) -> str | None:
    """What is wrong with the prepared files, by their manifest, in words."""
    for name, checksum in _listed(folder).items():
        file = folder / name
        if not file.is_file():
            return f"{file} is missing"
        if hashlib.sha256(file.read_bytes()).hexdigest() != checksum:
            return f"{file} is truncated or changed"
    return None


def write_manifest(folder: Path) -> None:
    """Note the sha256 of each prepared file, where that can be written."""
    files = sorted(file for file in (folder / "mnist").rglob("*") if file.is_file())
    sums = {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
    with contextlib.suppress(PermissionError):  # others' folder: its content was compared
        staged = folder / f".{MANIFEST}.part"
        staged.write_text(json.dumps({"schema": 1, "files": sums}, indent=1) + "\n")
        staged.replace(folder / MANIFEST)


def _listed(folder: Path) -> dict[str, str]:
    """The manifest: sha256 by path below the folder; only paths of the data set count."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        listed = {str(name): str(checksum) for name, checksum in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder / MANIFEST} is not a manifest; remove it") from error
    if not listed or any(
        Path(name).parts[:1] != ("mnist",) or ".." in Path(name).parts for name in listed
    ):
        raise BadInput(f"{folder / MANIFEST} does not list the files of mnist; remove it")
    return listed


def writable(folder: Path) -> None:
    """BadInput where nothing can be kept."""
    if not os.access(folder, os.W_OK):
        raise BadInput(f"{folder} is not writable, and data are missing in it")


# The fallback


def load_digits() -> Data:
    """The UCI digits that scikit-learn ships: 1,797 images of 8 x 8."""
    try:
        from sklearn.datasets import load_digits as digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise BadInput(f"the fallback data need scikit-learn ({error})") from error
    images, labels = digits(return_X_y=True)
    images = _scaled(images.reshape(-1, 8, 8, 1), 16.0)
    a, b, c, d = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    return Data(DIGITS, (a, c), (b, d))


def _scaled(images: Any, top: float) -> Any:
    import numpy as np

    return np.asarray(images, dtype="float32") / np.float32(top)
