"""What `gpurig image build`, `run` and `save` do; each answers its exit code."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpurig import __version__, store
from gpurig.cli import own_tables
from gpurig.contract.limits import Limits
from gpurig.errors import InputError
from gpurig.images import docker_api
from gpurig.images import recipe as images
from gpurig.report.shown import say
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.defaults import Defaults
from gpurig.settings.kinds import image_reference
from gpurig.settings.table import IMAGES, Settings
from gpurig.stack.described import Given, described
from gpurig.stack.model import Image, Stack
from gpurig.stack.resolver import resolve
from gpurig.stack.tables import tables

# Any GPU that every CUDA build of the tables has code for: what computes is the daemon's to say.
_SOME_GPU = "10de:2330"


def build(
    name: str, base: str | None, index: str | None, tag: str | None, wishes: Sequence[str]
) -> int:
    """Build an image by its name, or of the Dockerfile in a folder."""
    data = Defaults.of(None).below(parse_set(wishes))
    data |= {"rig_base_image": base} if base else {}
    data |= {"rig_pypi_index": index} if index else {}
    settings = validate(data, "gpurig image build")
    own_tables.use([settings])
    seconds = Limits(**settings.limits).command
    folder = Path(name)
    if name in IMAGES:
        client = docker_api.connect(seconds)
        offered = docker_api.offer(client)
        image = _image(name, settings, offered)
        recipe = images.recipe(image, offered.architecture, settings.pypi_index)
        recipe = replace(recipe, reference=_named(tag)) if tag else recipe
        say(f"building {recipe.reference}, {recipe.locked}")
        docker_api.build(client, recipe, say)
        say(f"built {recipe.reference}")
        return 0
    if "/" not in name and not folder.is_dir():
        near = difflib.get_close_matches(name.lower(), IMAGES, n=1, cutoff=0.5)
        do = f"did you mean {near[0]}?" if near else f"gpurig builds {' and '.join(IMAGES)}"
        what = f"{name!r} is no image that gpurig builds, and no folder with a Dockerfile"
        raise InputError("image-wrong", what, do=do)
    if not (folder / "Dockerfile").is_file():
        raise InputError("image-wrong", "the folder has no Dockerfile", name)
    store.refuse_foreign(folder / "Dockerfile")
    named = _named(tag or folder.resolve().name.lower())
    arguments = {"BASE": settings.base_image} if settings.base_image else {}
    arguments |= {"PIP_INDEX_URL": settings.pypi_index} if settings.pypi_index else {}
    labels = {"gpurig.version": __version__}
    docker_api.build_folder(docker_api.connect(seconds), folder, named, arguments, labels, say)
    say(f"built {named}")
    return 0


def _image(name: str, settings: Settings, offered: docker_api.Offer) -> Image:
    """The image as the resolver would have it on a machine like the daemon's."""
    python = "3.13" if settings.python == "auto" else settings.python
    rows = [row for row in tables().distribution if row.docker and python in row.pythons]
    if not rows:
        raise InputError("image-wrong", f"no distribution in gpurig's tables has Python {python}")
    row = rows[0]
    gpus = settings.accelerator == "cuda" or (offered.gpus and settings.accelerator != "cpu")
    components = ("docker", "container-toolkit") if gpus else ("docker",)
    given = Given(
        row.word,
        arch=offered.architecture,
        gpus=[_SOME_GPU] if gpus else [],
    )
    wished = replace(settings, images=(name,), components=components)
    answer = resolve(wished, described(given))
    if isinstance(answer, Stack) and answer.images:
        return answer.images[0]
    why = str(answer)
    if isinstance(answer, Stack):
        why = next(item.reason for item in answer.left_out if item.component == "images")
    raise InputError("image-wrong", f"{name} cannot be built: {why}")


def run(name: str, command: Sequence[str], gpus: str | None, volumes: Sequence[str]) -> int:
    """Run an image as the calling user, in the folder that the caller is in."""
    _named(name)
    if gpus not in (None, "all", "none") and not re.fullmatch(r"[1-9][0-9]?", gpus or ""):
        raise InputError(
            "gpus-wrong", f"{gpus!r} is neither all, none nor a number of GPUs", "--gpus"
        )
    mounts = {"/workspace": str(Path.cwd())} | dict(map(_mount, volumes))
    client = docker_api.connect(Limits.training)  # what runs there may be somebody's training
    found = docker_api.find(client, *_names(name))
    offered = docker_api.offer(client)
    devices = docker_api.devices(gpus, offered)
    # Under sudo the caller is the one who called sudo.
    uid, gid = os.environ.get("SUDO_UID", os.getuid()), os.environ.get("SUDO_GID", os.getgid())
    assert found.id
    # In a Docker without root, root is the user.
    user = "0:0" if offered.rootless else f"{uid}:{gid}"
    what = docker_api.Container(found.id, command, mounts, user, devices)
    return docker_api.run(client, what)


def _mount(volume: str) -> tuple[str, str]:
    """Target and source of ``SOURCE:TARGET``."""
    source, _, target = volume.rpartition(":")
    if not source or not target.startswith("/"):
        raise InputError(
            "volume-wrong", f"{volume!r} is not FOLDER:/FOLDER", "-v", 'for example "$PWD:/data"'
        )
    return target, str(Path(source).absolute())


def save(name: str, file: str) -> int:
    """Write an image into a file that `rig_images` may name."""
    _named(name)
    client = docker_api.connect()
    found = docker_api.find(client, *_names(name))
    names = [tag for tag in found.tags if tag in (*_names(name), f"{name}:latest")]
    if not names:  # it was found by its id
        raise InputError(
            "image-missing",
            f"{name} is an id, not a name of an image",
            do="name the image by a tag",
        )
    saved = names[0]
    docker_api.save(found, saved, Path(file))
    say(f"saved {saved} in {file}")
    return 0


def _names(name: str) -> tuple[str, ...]:
    """What Docker may call it: a name without a tag or folder is one of gpurig's own first."""
    return (name,) if re.search("[/:@]", name) else (images.reference(name), name)


def _named(name: Any) -> str:
    try:
        return image_reference(name)
    except ValueError as error:
        raise InputError("image-wrong", f"{name!r} is not {error}") from error
