"""Images through Docker's own API: built, run and saved where DOCKER_HOST or a context says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
import docker.errors
import paramiko
import requests
import urllib3
from docker.credentials.errors import StoreError
from docker.models.images import Image
from docker.tls import TLSConfig
from docker.types import DeviceRequest, Mount
from docker.utils import parse_repository_tag

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.errors import GpurigError, InputError
from gpurig.images.recipe import Recipe

Say = Callable[[str], None]
KIND = "nvidia.com/gpu"
_THERE = ("Pull complete", "Already exists")  # what Docker says of a layer in the end
# What the SDK lets through when a daemon ends in the middle of an answer, and when it has none.
CUT = (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError)
GONE = (requests.ConnectionError, requests.Timeout, paramiko.SSHException)
# Also when it refuses, a program for credentials is missing, or a file cannot be read.
BROKEN = (
    *CUT,
    *GONE,
    docker.errors.DockerException,
    requests.RequestException,
    StoreError,
    OSError,
)

SOCKET = "/var/run/docker.sock"
HERE = "this machine"


def connect(seconds: int = Limits.command) -> docker.DockerClient:
    """
    The daemon of DOCKER_HOST, of the user's Docker context, or this machine's.

    + seconds: how long it may be silent, as rig_limits has it: a step of a build says nothing

    InputError if none answers.
    """
    where, context = _chosen()
    try:
        client = (
            docker.DockerClient(**context, timeout=20) if context else docker.from_env(timeout=20)
        )
        client.ping()
    except (*BROKEN, ValueError) as error:
        installed = any(map(shutil.which, ("docker", "dockerd"))) or Path(SOCKET).exists()
        if where == HERE and not installed:
            what, do = "Docker is not installed", "run gpurig up, or set DOCKER_HOST"
            raise InputError("docker-missing", what, where, do) from error
        raise _unreachable(error) from error
    client.api.timeout = seconds
    return client


def _unreachable(error: Exception) -> InputError:
    return InputError(
        "docker-unreachable",
        f"Docker does not answer ({_root(error)})",
        _chosen()[0],
        "start Docker, join the group docker, or set DOCKER_HOST",
    )


def _chosen() -> tuple[str, dict[str, Any]]:
    """Whose daemon it is, for sentences, and how its context reaches it; nothing without one."""
    if host := os.environ.get("DOCKER_HOST"):
        return host, {}
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _current(folder / "config.json")
    if name == "default":
        return HERE, {}
    try:
        return f"Docker's context {name}", _context(folder / "contexts", name)
    except (OSError, ValueError, LookupError, TypeError, docker.errors.TLSParameterError) as error:
        raise InputError(
            "docker-unreachable",
            f"Docker's context {name} cannot be read ({getattr(error, 'strerror', None) or error})",
            "DOCKER_CONTEXT" if os.environ.get("DOCKER_CONTEXT") else str(folder / "config.json"),
            "run docker context use with one that docker context ls lists",
        ) from error


def _current(file: Path) -> str:
    """The context that `docker context use` chose; a file that docker cannot read chooses none."""
    try:
        return str(json.loads(file.read_text())["currentContext"] or "default")
    except (OSError, ValueError, LookupError, TypeError):
        return "default"


def _context(folder: Path, name: str) -> dict[str, Any]:
    """
    What the SDK takes for a context; raises what reading JSON does.

    The SDK's own reader looks into the working folder where the user has no config.json.
    """
    own = hashlib.sha256(name.encode()).hexdigest()
    meta = json.loads((folder / "meta" / own / "meta.json").read_text())
    there = meta["Endpoints"]["docker"]
    keys = folder / "tls" / own / "docker"
    secured: TLSConfig | bool = False
    if keys.is_dir():
        pair = (str(keys / "cert.pem"), str(keys / "key.pem"))
        ca = keys / "ca.pem"
        secured = TLSConfig(
            client_cert=pair if (keys / "cert.pem").exists() else None,
            ca_cert=str(ca) if ca.exists() else None,
            verify=not there.get("SkipTLSVerify", False),
        )
    return {"base_url": there["Host"], "tls": secured}


@dataclass(frozen=True)
class Offer:
    """
    What a daemon offers.

    + architecture: ``x86_64`` or ``aarch64``
    + gpus: whether containers can get NVIDIA GPUs; cdi: whether as CDI devices
    + rootless: whether it runs without root, so that its root is the user
    """

    architecture: str
    gpus: bool
    cdi: bool
    rootless: bool = False


def offer(client: docker.DockerClient) -> Offer:
    """What this daemon offers, as it tells of itself."""
    try:
        said: dict[str, Any] = client.info()
    except BROKEN as error:
        raise _unreachable(error) from error
    devices = [str(device.get("ID", "")) for device in said.get("DiscoveredDevices") or []]
    listed = any(device.startswith(KIND) for device in devices)
    runtime = "nvidia" in (said.get("Runtimes") or {})
    cdi = listed or (runtime and bool(said.get("CDISpecDirs")))
    rootless = "name=rootless" in (said.get("SecurityOptions") or [])
    return Offer(said["Architecture"], runtime or listed, cdi, rootless)


def build(client: docker.DockerClient, recipe: Recipe, say: Say) -> None:
    """Build an image of gpurig's; each line of the build is said as it comes."""
    _base(client, recipe.base, say)
    _build(
        client,
        recipe.reference,
        say,
        fileobj=BytesIO(recipe.context),
        custom_context=True,
        buildargs=dict(recipe.arguments),
        labels=dict(recipe.labels),
    )


def build_folder(
    client: docker.DockerClient,
    folder: Path,
    tag: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Say,
) -> None:
    """Build an image of somebody's own Dockerfile."""
    if "BASE" in arguments:
        _base(client, arguments["BASE"], say)
    context = {"path": str(folder), "buildargs": dict(arguments), "labels": dict(labels)}
    _build(client, tag, say, **context)


def _base(client: docker.DockerClient, base: str, say: Say) -> None:
    """The base is there, or pulled; without a registry a local name is all that is needed."""
    if _get(client, base):
        return
    say(f"pulling {base}")
    repository, tag = parse_repository_tag(base)
    try:
        chunks = client.api.pull(repository, tag or "latest", stream=True, decode=True)
        why = _pulled(chunks, say)
    except BROKEN as error:
        why = _last(error)
    if why:
        raise InputError(
            "base-image-missing",
            f"the base image {base} is missing, and Docker cannot pull it ({why})",
            do="name an existing image with --base",
        )


def _pulled(chunks: Iterable[Mapping[str, Any]], say: Say) -> str:
    """Say how many layers are there as they come; why it failed, or empty."""
    layers: dict[str, bool] = {}
    for chunk in chunks:
        if "error" in chunk:
            return str(chunk["error"]).strip()
        status, layer = str(chunk.get("status", "")), str(chunk.get("id", ""))
        if "layer" in status or status in _THERE or layer in layers:
            before = sum(layers.values())
            layers[layer] = layers.get(layer, False) or status in _THERE
            if (there := sum(layers.values())) != before:
                say(f"{there} of {len(layers)} layers")
    return ""


def _build(client: docker.DockerClient, tag: str, say: Say, **context: Any) -> None:
    """The low-level call, since the other one tells nothing before the build has ended."""
    try:
        # The host's network: an index or a proxy that the host reaches is reached by the build.
        chunks = client.api.build(
            tag=tag, network_mode="host", rm=True, forcerm=True, decode=True, **context
        )
        _told(chunks, tag, say)
    except BROKEN as error:
        raise GpurigError("image-build-failed", _last(error), tag) from error


def _told(chunks: Iterable[Mapping[str, Any]], tag: str, say: Say) -> None:
    for chunk in chunks:
        if "error" in chunk:
            raise GpurigError("image-build-failed", str(chunk["error"]).strip(), tag)
        for line in str(chunk.get("stream", "")).splitlines():
            if line.strip():
                say(line)


def find(client: docker.DockerClient, *names: str) -> Image:
    """The first of these images that is there; InputError if none is."""
    for name in names:
        if image := _get(client, name):
            return image
    raise InputError(
        "image-missing", f"there is no image {names[-1]}", do="build it with gpurig image build"
    )


def _get(client: docker.DockerClient, name: str) -> Image | None:
    """An image, if it is there; InputError if the daemon does not tell."""
    try:
        return client.images.get(name)
    except BROKEN as error:
        if getattr(error, "status_code", None) in (400, 404):  # 400: no image can have this name
            return None
        raise _unreachable(error) from error


@dataclass(frozen=True)
class Container:
    """
    What to run.

    + mounts: source by target; user: ``uid:gid``; devices: of `devices`
    """

    image: str
    command: Sequence[str]
    mounts: Mapping[str, str]
    user: str
    devices: Mapping[str, Any]


def devices(wish: str | None, offered: Offer) -> dict[str, Any]:
    """
    How a container gets its GPUs, as arguments of the SDK; empty for none.

    + wish: ``all``, ``none``, a number, or None for all that there are
    """
    if wish == "none" or (wish is None and not offered.gpus):
        return {}
    if not offered.gpus:
        raise InputError(
            "gpus-missing", "this Docker offers no NVIDIA GPUs", f"--gpus {wish}", "use --gpus none"
        )
    ids = ["all"] if wish in (None, "all") else [str(n) for n in range(int(wish or 0))]
    if offered.cdi:
        names = [f"{KIND}={each}" for each in ids]
        return {"device_requests": [DeviceRequest(driver="cdi", device_ids=names)]}
    return {"runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": ",".join(ids)}}


def run(client: docker.DockerClient, what: Container) -> int:
    """
    Run a container to its end: its output as it comes, its exit code as the answer.

    The container goes at the end, also when it is interrupted.
    """
    arguments = dict(what.devices)
    # The user is none of the image's: without these, programs have no home and no name.
    environment = {"HOME": "/tmp", "USER": "user"} | arguments.pop("environment", {})
    mounts = [Mount(target, source, type="bind") for target, source in what.mounts.items()]
    try:
        container = client.containers.create(
            what.image,
            list(what.command) or None,
            user=what.user,
            working_dir="/workspace",
            mounts=mounts,
            environment=environment,
            **arguments,
        )
    except BROKEN as error:
        raise GpurigError("container-failed", _last(error), what.image) from error
    try:
        output = container.attach(stream=True, demux=True, logs=True)
        container.start()
        for out, err in output:
            for data, stream in ((out, sys.stdout), (err, sys.stderr)):
                if data:
                    stream.buffer.write(data)
                    stream.flush()
        try:
            return int(container.wait()["StatusCode"])
        except docker.errors.NotFound as error:
            gone = "the container was removed while it ran"
            raise GpurigError("container-failed", gone, what.image) from error
    except BROKEN as error:
        raise GpurigError("container-failed", _last(error), what.image) from error
    finally:
        with suppress(*BROKEN):  # it is gone already, or the daemon is
            container.remove(force=True)


def save(image: Image, name: str, file: Path) -> None:
    """Write an image into a file of the user's own; it is there whole or not at all."""
    try:
        with store.written(file) as target:
            for piece in image.save(named=name):
                target.write(piece)
    except BROKEN as error:
        raise GpurigError("image-unsaved", f"cannot be written ({_last(error)})", str(file)) from (
            error
        )


def _last(error: BaseException) -> str:
    """What Docker says of an error, or that it says nothing, in one line."""
    if isinstance(error, CUT):
        return "Docker ended in the middle of its answer"
    if isinstance(error, GONE):
        return f"Docker does not answer ({_root(error)})"
    return _words(error)


def _root(error: BaseException) -> str:
    """Docker's own words, or the first cause, which requests and urllib3 wrap several times."""
    while not hasattr(error, "explanation") and (before := error.__cause__ or error.__context__):
        error = before
    return getattr(error, "strerror", None) or _words(error)


def _words(error: BaseException) -> str:
    """Docker's own words, else the error's, in one line."""
    said = getattr(error, "explanation", None) or error
    return " ".join(str(said).split()) or type(error).__name__
