"""What costs minutes to make, made once for all tests of a tree: hosts as snapshots, wheels."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .clock import CLOCK

if TYPE_CHECKING:
    from .hosts import Host
    from .lab import Lab

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("src/gpurig", "facts", "operations", "deploy", "workloads", "requirements.lock")
UNUSED = 24 * 3600  # seconds, after which what was made for another tree is removed


@cache
def tree() -> str:
    """What the product is made of, as twelve hexadecimal digits: another tree, another state."""
    digest = hashlib.sha256()
    for place in PRODUCT:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def state(lab: Lab, name: str, make: Callable[[], Host]) -> str:
    """
    The snapshot of a host in a state, for ``boot("", NAME, snapshot=…)``; made if there is none.

    + name: of the state, such as ``trains-bookworm``; those of other trees go after a day
    + make: boots a host and brings it there; one test at a time makes it, the others wait
    """
    snapshot = f"{name}-{tree()}"
    place = lab.folder / "states"
    place.mkdir(exist_ok=True)
    with (place / f"{name}.lock").open("w") as lock, CLOCK.doing(f"state {name}"):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if snapshot not in lab.snapshots():
            for old in lab.snapshots():
                if old.rpartition("-")[0] == name and _unused(lab.disk / "snapshots" / old):
                    lab.forget(old)
            made = make()
            lab.save(made.name, snapshot)
            lab.remove(made.name)
        os.utime(lab.disk / "snapshots" / snapshot)
    return snapshot


def built_wheels(lab: Lab) -> Path:
    """Where the tests that compile Horovod leave its wheels for those that only install it."""
    place = lab.folder / "built-wheels" / tree()
    for old in place.parent.glob("*"):
        if old != place and _unused(old):
            shutil.rmtree(old)
    place.mkdir(parents=True, exist_ok=True)
    os.utime(place)
    return place


def _unused(place: Path) -> bool:
    return time.time() - place.stat().st_mtime > UNUSED
