"""Container images: what they are built from, and what saved ones hold."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from gpurig import __version__, store
from gpurig.contract.frameworks import frameworks
from gpurig.errors import InputError
from gpurig.settings.table import Settings
from gpurig.stack.model import Image
from gpurig.wheels import locks

# The label by which an image is known as ours: the sum of all that it was built from.
RECIPE = "gpurig.recipe"


@dataclass(frozen=True)
class Recipe:
    """
    All that an image is built from.

    + reference: its name on the host; base: the image that it is built on
    + arguments, labels: as ``docker build`` takes them
    + context: a tar with the Dockerfile and what it copies
    + locked: by which lock, in words
    """

    reference: str
    base: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    context: bytes = field(repr=False)  # pyinfra prints the arguments of operations
    locked: str = "as locked"


@dataclass(frozen=True)
class Saved:
    """
    A file that ``docker save`` wrote.

    + path: on the control machine; tags: the names of its one image
    + created, layers: what tells the image from others, whichever store Docker keeps it in
    """

    path: str
    tags: tuple[str, ...]
    created: str
    layers: tuple[str, ...] = field(repr=False)


def reference(name: str) -> str:
    """What an image of rig_images is called on a host."""
    return f"gpurig/{name}:latest"


def recipe(image: Image, architecture: str, index: str | None = None) -> Recipe:
    """
    How an image is built; its lock is found, or resolved, as those of environments.

    + architecture: ``x86_64`` or ``aarch64``
    + index: where wheels are read from; it changes nothing of what is built
    """
    inside = image.environment
    assert inside is not None
    assert image.base is not None
    lock = locks.find(inside, architecture, index)
    folder = files("gpurig.workloads")
    contents = {
        "Dockerfile": (folder / "container" / "Dockerfile").read_text(),
        "requirements.lock": lock.text,
        "build.lock": locks.build_part(lock.text),
    }
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py") and file.name != "__init__.py":
            contents[file.name] = file.read_text()
    framework = frameworks()[inside.framework]
    arguments = {
        "BASE": image.base,
        "PYTHON": inside.python,
        "FRAMEWORK": framework.name,
        "MODULE": framework.module,
        "PROGRAM": next(f"{name}.py" for name in framework.proofs if name.startswith("mnist")),
    }
    labels = {
        RECIPE: _sum(contents | arguments),
        "gpurig.version": __version__,
        "gpurig.framework": f"{inside.framework} {inside.version}",
        "gpurig.lock": lock.key,
        "gpurig.lock.sha256": hashlib.sha256(lock.text.encode()).hexdigest(),
    }
    if index:
        arguments["PIP_INDEX_URL"] = index
        if index.startswith("http:"):  # named by the user; every file is compared with its hash
            arguments["PIP_TRUSTED_HOST"] = urlsplit(index).netloc
    if lock.index:  # either index may have any of the wheels: what is right is told by its hash
        arguments["PIP_EXTRA_INDEX_URL"] = lock.index
    return Recipe(reference(image.name), image.base, arguments, labels, _tar(contents), lock.locked)


def refuse_unreadable(settings: Settings, where: str) -> None:
    """InputError for a saved image of rig_images that is not there or is none."""
    for given in settings.images:
        if given.startswith("/"):
            saved(given, where)


def saved(path: str, where: str = "rig_images") -> Saved:
    """What a saved image holds; InputError, one sentence, if that cannot be told."""
    store.refuse_foreign(Path(path))
    try:
        state = Path(path).stat()
        return _saved(path, (state.st_mtime_ns, state.st_size))
    except OSError as error:
        said = error.strerror or str(error)
        raise InputError(
            "saved-image-wrong", f"{path} cannot be read ({said})", where, "check its path"
        ) from error
    except (
        tarfile.TarError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError
    ) as error:  # fmt: skip
        raise InputError(
            "saved-image-wrong",
            f"{path} is not one image with a name (`docker save NAME` writes such a file)",
            where,
            "write it with `gpurig image save NAME FILE`",
        ) from error


@cache
def _saved(path: str, version: tuple[int, int]) -> Saved:
    """
    + version: time and size of the file, so that a new one is read anew
    """
    with tarfile.open(path) as tar:
        (entry,) = json.loads(_member(tar, "manifest.json"))
        config = json.loads(_member(tar, entry["Config"]))
    tags = tuple(str(tag) for tag in entry["RepoTags"])
    if not tags:
        raise ValueError("it has no name")
    return Saved(path, tags, config.get("created") or "", tuple(config["rootfs"]["diff_ids"]))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is missing in it")
    return file.read()


def _sum(parts: Mapping[str, str]) -> str:
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _tar(contents: Mapping[str, str]) -> bytes:
    """A tar of these files, the same bytes each time: Docker's cache compares them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()
