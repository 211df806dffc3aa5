"""Room on disk, looked at before anything is changed."""

from __future__ import annotations

from gpurig.errors import HostError
from gpurig.facts.disk import Room
from gpurig.observed import Observed
from gpurig.promise import Finding, Verdict
from gpurig.settings import Settings
from gpurig.stack.model import Stack

GB = 1000**3
DOCKER_ROOT = "/var/lib/docker"  # Docker's own folder, wherever its daemon.json has moved it

# Measured on Debian 13: TensorFlow 2.21 with what its workloads need, by accelerator.
ENVIRONMENT = {"cpu": 1.9 * GB, "cuda": 6.6 * GB}
# Files in the wheels of its lock (32,010), and the bytecode of those in Python (8,955).
FILES = 41_000
DRIVER = 1.5 * GB  # packages, headers and a module that is built
DOCKER = 0.5 * GB


def needed(stack: Stack, settings: Settings, plan: list[Finding]) -> dict[str, float]:
    """
    Bytes that what is still missing will take, by the folder that it goes to.

    Only what the plan says is missing counts: a host that is right needs no room.
    """
    to_do = {f.id for f in plan if f.verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)}
    room: dict[str, float] = {}
    for environment in stack.environments:
        if f"environment.{environment.name}.interpreter" in to_do:
            room[settings.venv_root] = (
                room.get(settings.venv_root, 0) + ENVIRONMENT[environment.accelerator]
            )
    for image in stack.images:  # at least what its environment takes
        if image.environment and f"images.{image.name}" in to_do:
            size = ENVIRONMENT[image.environment.accelerator]
            room[DOCKER_ROOT] = room.get(DOCKER_ROOT, 0) + size
    packages = {"driver.packages": DRIVER, "docker.packages": DOCKER}
    for promise, size in packages.items():
        if promise in to_do:
            room["/var"] = room.get("/var", 0) + size
    return room


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
    for folder, size in needed(stack, settings, plan).items():
        docker = folder == DOCKER_ROOT
        if docker:
            there = observed.disk[-1]["path"] if observed.disk else folder
            folder = str(settings.docker_daemon.get("data-root", there))
        room = _room(observed.disk, folder)
        if room is not None:
            mount = room["mount"]
            wanted[mount] = wanted.get(mount, 0) + size
            files[mount] = files.get(mount, 0) + (
                FILES if docker or folder == settings.venv_root else 0
            )
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
            else "make room, or name another folder (rig_venv_root)",
            host=name,
        )


# Never by itself: what Docker keeps is the user's.
_DO_DOCKER = (
    "make room (`docker system df` shows what Docker keeps), or name another data-root in"
    " rig_docker_daemon"
)


def _room(rooms: list[Room], folder: str) -> Room | None:
    """The room of the file system that a folder is on, or will be."""
    for room in rooms:
        if room["path"] == folder:
            return room
    above = [r for r in rooms if f"{folder}/".startswith(f"{r['mount'].rstrip('/')}/")]
    return max(above, key=lambda room: len(room["mount"]), default=None)
