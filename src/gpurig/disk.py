"""Room on disk, looked at before anything is changed."""

from __future__ import annotations

from gpurig.errors import HostError
from gpurig.facts.disk import Room
from gpurig.observed import Observed
from gpurig.promise import Finding, Verdict
from gpurig.settings import Settings
from gpurig.stack.model import Stack

GB = 1000**3

# Measured on Debian 13: TensorFlow 2.21 with what its workloads need, by accelerator.
ENVIRONMENT = {"cpu": 1.9 * GB, "cuda": 6.6 * GB}
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
    for image in stack.images:  # at least what its environment takes, in Docker's usual folder
        if image.environment and f"images.{image.name}" in to_do:
            size = ENVIRONMENT[image.environment.accelerator]
            room["/var"] = room.get("/var", 0) + size
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
    free: dict[str, float] = {}
    for folder, size in needed(stack, settings, plan).items():
        room = _room(observed.disk, folder)
        if room is not None:
            mount, available = room
            wanted[mount] = wanted.get(mount, 0) + size
            free[mount] = available
    for mount, size in wanted.items():
        if free[mount] < size:
            raise HostError(
                "disk-full",
                f"{mount} has {free[mount] / GB:.1f} GB free and {size / GB:.1f} GB are needed",
                where=name,
                do="make room, or name another folder (rig_venv_root)",
                host=name,
            )


def _room(rooms: list[Room], folder: str) -> tuple[str, int] | None:
    """Mount point and free bytes of the file system that a folder is on, or will be."""
    for room in rooms:
        if room["path"] == folder:
            return room["mount"], room["free_bytes"]
    mounts = {room["mount"]: room["free_bytes"] for room in rooms}
    above = [mount for mount in mounts if f"{folder}/".startswith(f"{mount.rstrip('/')}/")]
    if not above:
        return None
    nearest = max(above, key=len)
    return nearest, mounts[nearest]
