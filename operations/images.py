"""Container images: built on the host, or loaded from a file of the control machine."""

from __future__ import annotations

import shlex
from io import BytesIO
from pathlib import Path

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.attended import Attended
from gpurig.contract.fact import read
from gpurig.contract.known import known, sure
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps, unknown
from gpurig.contract.staged import private
from gpurig.contract.values import ABSENT
from gpurig.facts.docker.engine import DOCKER, DockerClient, DockerInfo, DockerInstalled
from gpurig.facts.images import NOTES, ContainerImage, Found, OwnImages
from gpurig.images.recipe import RECIPE, Recipe, Saved, reference
from gpurig.operations.environments.uv import Downloads
from gpurig.operations.shared.systemd import masked_by_hand

_RUN = private("image")  # what a build needs; a proxy may hold a password
_LOADING = f"{NOTES}/loading"  # on disk: a saved image has gigabytes
_PIECE = 64 * 2**20  # bytes of a saved image that are in memory at a time


@keeps("images.{title}")
def built(title: str, recipe: Recipe, downloads: Downloads) -> Commands:
    """
    The image is there, built from this Dockerfile, this lock and this base.

    + title: its name in rig_images; downloads: the proxy is used, the index is in the recipe

    An image of that name that gpurig did not build is left alone. The one that is replaced goes if
    gpurig made it here, unless it has another name or a container or an image stands on it.
    """
    _daemon_first()
    there = known(ContainerImage, reference=recipe.reference)
    base = known(ContainerImage, reference=recipe.base)
    wanted = recipe.labels["gpurig.framework"]
    if there and RECIPE not in there["labels"]:
        return unknown(f"gpurig did not build the image {recipe.reference}; rename that image")
    if there and there["labels"][RECIPE] == recipe.labels[RECIPE]:
        return holds(f"{recipe.reference} has {wanted}")
    pull = f"pull {recipe.base} and " if base is ABSENT else ""
    drift(
        actual=f"no {recipe.reference}" if there is ABSENT else "built from something else",
        wanted=f"{wanted} on {recipe.base}, {recipe.locked}",
        will=f"{pull}build {recipe.reference}",
        leaves="all other images and containers",
    )
    yield from _private(f"{_RUN}.tar", recipe.context)
    yield from _private(f"{_RUN}.env", _environment(downloads).encode())
    yield Attended(_build(title, recipe))


def _daemon_first() -> None:
    """End an operation where no daemon answers, in what it waits for."""
    docker, daemon = known(DockerInstalled), read(DockerInfo)
    if docker is ABSENT or read(DockerClient) is ABSENT:
        follows("docker.packages")
        raise Ended
    if sure(daemon) is not ABSENT:
        return
    if masked_by_hand("docker.service"):  # which stays, so that nothing will bring the image about
        due(
            "docker.service is masked; run systemctl unmask docker.service,"
            " or list docker in rig_components"
        )
    else:
        follows("docker.service")
    raise Ended


def _build(title: str, recipe: Recipe) -> str:
    """
    Shell that builds an image and lets go of the one that it replaces.

    The host's own network is used: an index or a proxy that the host reaches is reached by the
    build as well. The base is pulled apart, so that its absence can be told from other failures.
    """
    base, name = shlex.quote(recipe.base), shlex.quote(recipe.reference)
    missing = shlex.quote(
        f"Error: the base image {recipe.base} is not on the host and cannot be pulled; load it"
        " there, or name another in rig_base_image"
    )
    options = [f"--build-arg {shlex.quote(f'{k}={v}')}" for k, v in recipe.arguments.items()]
    options += [f"--label {shlex.quote(f'{k}={v}')}" for k, v in recipe.labels.items()]
    return (
        f"trap 'rm -f {_RUN}.tar {_RUN}.env' EXIT; . {_RUN}.env;"
        f" {DOCKER} image inspect -- {base} >/dev/null 2>&1 || {DOCKER} pull {base} ||"
        f" {{ echo {missing} >&2; exit 1; }};"
        f" {DOCKER} build --network host --force-rm --tag {name} {' '.join(options)} $proxies -"
        f" < {_RUN}.tar || exit 1; {_noted(title, recipe.reference)}"
    )


def _noted(title: str, name: str) -> str:
    """
    Shell that notes an image as gpurig's and lets go of the one that was noted before.

    Without --force Docker itself keeps an image that is in use; one with a name is kept here.
    """
    note, name = f"{NOTES}/{title}.id", shlex.quote(name)
    names = f"{DOCKER} image inspect --format '{{{{len .RepoTags}}}}'"
    return (
        f"mkdir -p {NOTES}; old=$(cat {note} 2>/dev/null);"
        f" {DOCKER} image inspect --format '{{{{.Id}}}}' -- {name} > {note}.new"
        f" && mv {note}.new {note} || exit 1;"
        f' [ -z "$old" ] || [ "$({names} "$old" 2>/dev/null)" != 0 ]'
        f' || {DOCKER} image rm "$old" >/dev/null 2>&1 || :'
    )


def _environment(downloads: Downloads) -> str:
    """What the build takes from its surroundings: Docker knows these names, and keeps no value."""
    if not downloads.proxy:
        return "proxies=\n"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    lines = [f"export {name}={shlex.quote(downloads.proxy)}\n" for name in names]
    return "".join(lines) + f"proxies='{' '.join(f'--build-arg {name}' for name in names)}'\n"


def _private(path: str, data: bytes) -> Commands:
    yield StringCommand(f"rm -f {path} && touch {path} && chmod 600 {path}")
    yield FileUploadCommand(BytesIO(data), path)


@keeps("images.{title}")
def loaded(title: str, saved: Saved) -> Commands:
    """
    The saved image is there, under its own names and as ``gpurig/TITLE``.

    + title: its name in rig_images

    A name that another image of the user's has is not taken from it.
    """
    _daemon_first()
    name = reference(title)
    there = known(ContainerImage, reference=name)
    if there and _is(there, saved):
        return holds(f"{name} is {saved.tags[0]}")
    ours = known(OwnImages)
    for tag in (name, *saved.tags):
        taken = known(ContainerImage, reference=tag)
        if taken and not _is(taken, saved) and taken["id"] not in ours:
            return unknown(
                f"the host has another image {tag} than {saved.path}, and"
                " gpurig did not load it; rename that image"
            )
    drift(
        actual=f"no {name}" if there is ABSENT else f"{name} is another image",
        wanted=f"{saved.tags[0]} of {saved.path}",
        will=f"load {saved.path}",
        leaves="all other images and containers",
    )
    file = f"{_LOADING}/{title}.tar"
    # What a run that was cut off left there goes first.
    yield StringCommand(f"rm -rf {_LOADING} && mkdir -p {_LOADING} && chmod 700 {_LOADING}")
    with Path(saved.path).open("rb") as source:
        while piece := source.read(_PIECE):
            yield FileUploadCommand(BytesIO(piece), f"{file}.part")
            yield StringCommand(
                f"cat {file}.part >> {file} && rm {file}.part || {{ rm -rf {_LOADING}; exit 1; }}"
            )
    tag = shlex.quote(saved.tags[0])
    yield StringCommand(
        f"trap 'rm -rf {_LOADING}' EXIT; {DOCKER} load --quiet --input {file} &&"
        f" {DOCKER} tag {tag} {name} || exit 1; {_noted(title, name)}"
    )


def _is(found: Found, saved: Saved) -> bool:
    """By layers and by second: Docker writes the time in another notation than other makers."""
    same_time = found["created"][:19] == saved.created[:19]
    return same_time and found["layers"] == list(saved.layers)
