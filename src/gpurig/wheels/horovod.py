"""Horovod's wheel: what it is built from and against, and the copy that all hosts share."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import gevent

from gpurig import store
from gpurig.contract.frameworks import frameworks
from gpurig.errors import GpurigError
from gpurig.stack.model import Environment
from gpurig.stack.tables import tables
from gpurig.wheels import locks

_ASKED = 20  # seconds after which a host that waits is asked whether it is there

# As HOROVOD_WITH_… and HOROVOD_WITHOUT_… name them.
FRAMEWORKS = {"tensorflow": "TENSORFLOW", "torch": "PYTORCH"}


@dataclass(frozen=True)
class Build:
    """
    One build of Horovod.

    + release, sha256: of the source distribution, which the index has under that sum
    + base, base_version: the distribution that it is compiled against, ``tensorflow`` ``2.21.0``
    + python: ``3.13``; architecture: ``x86_64``
    + patches: what makes it compile, as ``patch -p1`` takes it
    """

    release: str
    sha256: str
    base: str
    base_version: str
    python: str
    architecture: str
    patches: str = field(repr=False)

    @cached_property
    def label(self) -> str:
        """The local part of its version (PEP 440): what it stands on, and a sum of what made it."""
        made = hashlib.sha256(f"{self.sha256}{self.patches}".encode()).hexdigest()[:8]
        return re.sub("[^a-z0-9]+", ".", f"{self.base}.{self.base_version}.{made}".lower())

    @property
    def version(self) -> str:
        """Its version in an environment."""
        return f"{self.release}+{self.label}"

    @property
    def wheel(self) -> str:
        """The name of its wheel."""
        tag = f"cp{self.python.replace('.', '')}"
        return f"horovod-{self.version}-{tag}-{tag}-linux_{self.architecture}.whl"

    @property
    def against(self) -> str:
        return f"{self.base} {self.base_version}"


def build(environment: Environment, lock: str, architecture: str) -> Build:
    """
    The build that an environment needs.

    + lock: the text of the environment's lock, which says what it stands on

    GpurigError where that is PyTorch's build for CUDA, which came because there was no other.
    """
    row = next(
        row
        for row in tables().release
        if (row.name, row.version) == (environment.framework, environment.version)
    )
    assert row.sdist_sha256
    pins = locks.pins(lock)
    base = frameworks()[environment.base or environment.framework].wheels[0]
    if environment.base in row.cpu_bases and any(name.startswith("nvidia-") for name in pins):
        raise GpurigError(
            "horovod-base",
            f"it compiles only with {base}'s build for the CPU, and"
            " gpurig cannot use the index of that build",
            environment.name,
            "set an index that has it in rig_repositories, or use horovod[tensorflow]",
        )
    folder = files("gpurig.wheels") / "data" / "patches" / f"horovod-{row.version}"
    patches = sorted((file.name, file.read_text()) for file in folder.iterdir())
    return Build(
        release=row.version,
        sha256=row.sdist_sha256,
        base=base,
        base_version=pins[base],
        python=environment.python,
        architecture=architecture,
        patches="".join(text for _, text in patches),
    )


def kept(build: Build, distribution: str) -> bytes | None:
    """
    The wheel that was built for this lab, or None if there is none that is whole.

    + distribution: ``debian-13``; its compiler and libc are in the wheel

    No lock knows its hash, so that nobody else may have written it: InputError if they may.
    """
    file = _file(build, distribution)
    for each in (file, file.with_suffix(".sha256")):
        store.refuse_foreign(each)
    try:
        wheel, checksum = file.read_bytes(), file.with_suffix(".sha256").read_text().strip()
    except OSError:
        return None
    return wheel if hashlib.sha256(wheel).hexdigest() == checksum else None


def keep(build: Build, distribution: str, wheel: bytes) -> None:
    """Keep a wheel for the other hosts; GpurigError if the folder cannot be written."""
    file = _file(build, distribution)
    store.write(file.with_suffix(".sha256"), hashlib.sha256(wheel).hexdigest() + "\n")
    store.write(file, wheel)


def take_turns(build: Build, distribution: str, answers: Callable[[], bool]) -> None:
    """
    Wait while another host of this run builds the same wheel, until it is there or that host ends.

    Nothing has to be given back: a host that fails is a greenlet that has ended.

    + answers: whether the host that waits still answers; one that does not waits no longer, and its
      next command says why
    """
    me, file = gevent.getcurrent(), _file(build, distribution)
    asked = time.monotonic()
    while (builder := _builders.setdefault(file, me)) is not me:
        if kept(build, distribution) is not None:
            return
        if builder.dead:
            _builders[file] = me
        gevent.sleep(0.2)
        if time.monotonic() - asked >= _ASKED:
            if not answers():
                return
            asked = time.monotonic()


_builders: dict[Path, gevent.Greenlet] = {}


def cache() -> Path:
    """The folder of the wheels that were built, on the control machine."""
    return store.cache() / "wheels"


def _file(build: Build, distribution: str) -> Path:
    return cache() / distribution / build.wheel
