"""Room on disk, looked at before anything is changed."""

from __future__ import annotations

from gpurig.contract.finding import Finding, Verdict
from gpurig.errors import HostError
from gpurig.facts.host.disk import Room
from gpurig.settings.table import Settings
from gpurig.stack.model import Environment, Stack
from gpurig.stack.observed import Observed

GB = 1000**3
DOCKER_ROOT = "/var/lib/docker"  # Docker's own folder, wherever its daemon.json has moved it

# Files in the wheels of TensorFlow's lock (32,010), and the bytecode of those in Python (8,955).
FILES = 41_000
DRIVER = 1.5 * GB  # packages, headers and a module that is built
DOCKER = 0.5 * GB
HOROVOD = 0.8 * GB  # while it is compiled: a compiler 0.4, the build itself 0.3


def needed(stack: Stack, settings: Settings, plan: list[Finding]) -> dict[str, float]:
    """
    Bytes that what is still missing will take, by the folder that it goes to.

    Only what the plan says is missing counts: a host that is right needs no room.
    """
    to_do = _to_do(plan)
    room: dict[str, float] = {}
    for folder, environments in _made(stack, settings, to_do).items():
        if environments:
            room[folder] = sum(environment.gigabytes for environment in environments) * GB
    packages = {
        "driver.packages": DRIVER,
        "docker.packages": DOCKER,
        "environment.horovod.horovod": HOROVOD,
    }
    for promise, size in packages.items():
        if promise in to_do:
            room["/var"] = room.get("/var", 0) + size
    return room


def _to_do(plan: list[Finding]) -> set[str]:
    return {f.id for f in plan if f.verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)}


def _made(stack: Stack, settings: Settings, to_do: set[str]) -> dict[str, list[Environment]]:
    """The environments that will be made, by folder; an image takes at least what its own takes."""
    inside = [image.environment for image in stack.images if f"images.{image.name}" in to_do]
    return {
        settings.venv_root: [
            environment
            for environment in stack.environments
            if f"environment.{environment.name}.interpreter" in to_do
        ],
        DOCKER_ROOT: [environment for environment in inside if environment],
    }


def check(
    name: str, stack: Stack, settings: Settings, observed: Observed, plan: list[Finding]
) -> None:
    """HostError if a file system of the host has too little room for what will be installed."""
    if not isinstance(observed.disk, list):
        return
    wanted: dict[str, float] = {}  # by mount point
    files: dict[str, int] = {}
    rooms: dict[str, Room] = {}
    dockers: set[str] = set()
    made = _made(stack, settings, _to_do(plan))
    for folder, size in needed(stack, settings, plan).items():
        docker, inodes_needed = folder == DOCKER_ROOT, FILES * len(made.get(folder, []))
        if docker:
            there = observed.disk[-1]["path"] if observed.disk else folder
            folder = str(settings.docker_daemon.get("data-root", there))
        room = _room(observed.disk, folder)
        if room is not None:
            mount = room["mount"]
            wanted[mount] = wanted.get(mount, 0) + size
            files[mount] = files.get(mount, 0) + inodes_needed
            rooms[mount] = room
            dockers |= {mount} if docker else set()
    for mount, size in wanted.items():
        free, inodes = rooms[mount]["free_bytes"], rooms[mount]["free_inodes"]
        if free < size:
            short = f"{free / GB:.1f} GB free and {size / GB:.1f} GB are needed"
        elif inodes is not None and inodes < files[mount]:
            short = f"{inodes} inodes free and {files[mount]} are needed"
        else:
            continue
        raise HostError(
            "disk-full",
            f"{mount} has {short}",
            where=name,
            do=_DO_DOCKER
            if mount in dockers
            else "free disk space, or set rig_venv_root to another folder",
            host=name,
        )


# Never by itself: what Docker keeps is the user's.
_DO_DOCKER = (
    "free disk space (`docker system df` shows what Docker"
    " uses), or set another data-root in rig_docker_daemon"
)


def _room(rooms: list[Room], folder: str) -> Room | None:
    """The room of the file system that a folder is on, or will be."""
    for room in rooms:
        if room["path"] == folder:
            return room
    above = [r for r in rooms if f"{folder}/".startswith(f"{r['mount'].rstrip('/')}/")]
    return max(above, key=lambda room: len(room["mount"]), default=None)
