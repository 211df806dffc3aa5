"""Hashed locks: which exact wheels an environment is made of, decided once for all hosts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from gpurig.errors import GpurigError
from gpurig.stack.model import Environment

# What must be there before the rest: sdists in a lock are built with it, without a network of
# their own (promise, which tensorflow-datasets wants, has no wheel).
BUILD = "setuptools"

_LIBC = "manylinux_2_28"  # glibc 2.28: older than that of every distribution in the tables


@dataclass(frozen=True)
class Lock:
    """
    + key: its name, ``tensorflow-2.21.0-py3.13-x86_64-cuda``
    + text: as ``pip install --require-hashes -r`` takes it
    """

    key: str
    text: str = field(repr=False)  # pyinfra prints the arguments of operations


def find(environment: Environment, architecture: str, index: str | None = None) -> Lock:
    """
    The lock of an environment.

    + architecture: ``x86_64`` or ``aarch64``
    + index: where wheels are looked for if it has to be resolved first

    Looked for in ``locks/`` of the working folder (beside the inventory), in the user's own
    locks, then among those that ship; one that is there outranks the tables. With none, this
    machine resolves it once and keeps it. GpurigError if that is not possible.
    """
    name = f"{environment.lock}.txt"
    for folder in (Path("locks"), _own()):
        if (folder / name).is_file():
            return Lock(environment.lock, (folder / name).read_text())
    shipped = files("gpurig.stack") / "locks" / name
    if shipped.is_file():
        return Lock(environment.lock, shipped.read_text())
    resolved = _resolved(environment, architecture, index)
    _keep(_own() / name, resolved)
    return Lock(environment.lock, resolved)


def pins(lock: str) -> dict[str, str]:
    """What a lock pins: version by normalised name."""
    found = {}
    for line in lock.splitlines():
        requirement = line.split(";")[0].split("\\")[0].strip()
        if line and not line[0].isspace() and "==" in requirement:
            name, version = requirement.split("==")
            found[normalised(name.split("[")[0])] = version.strip()
    return found


def normalised(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return name.strip().lower().replace("_", "-").replace(".", "-")


def build_part(lock: str) -> str:
    """The lines of a lock that are installed first, because others are built with them."""
    kept, on = [], False
    for line in lock.splitlines():
        if line and not line[0].isspace():
            on = normalised(line.split("==")[0]) == BUILD
        if on:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _own() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "gpurig" / "locks"


def _resolved(environment: Environment, architecture: str, index: str | None) -> str:
    wanted = "\n".join([*environment.pins, BUILD]) + "\n"
    command = [
        str(Path(sys.executable).with_name("uv")), "pip", "compile", "-q", "--generate-hashes",
        "--no-header", "--no-annotate", "--no-emit-find-links", "--no-emit-index-url",
        "--python-version", environment.python,
        "--python-platform", f"{architecture}-{_LIBC}", "-",
    ]  # fmt: skip
    surroundings = os.environ | {"UV_SYSTEM_CERTS": "1"}
    if index:
        surroundings["UV_DEFAULT_INDEX"] = index
    try:
        done = subprocess.run(
            command, input=wanted, env=surroundings, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise GpurigError(
            "lock-unresolved",
            f"uv, which resolves it, does not start ({error.strerror})",
            environment.lock,
            "install gpurig anew, with all that it depends on",
        ) from error
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise GpurigError(
            "lock-unresolved",
            f"{', '.join(environment.pins)} cannot be resolved for Python {environment.python}"
            f" ({said[-1] if said else 'uv said nothing'})",
            environment.lock,
            "ask for another version, or name an index that has it (rig_pypi_index)",
        )
    return done.stdout


def _keep(file: Path, lock: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        staged = file.with_suffix(f".{os.getpid()}")
        staged.write_text(lock)
        staged.replace(file)
    except OSError as error:
        raise GpurigError(
            "lock-unwritable", f"cannot be written ({error.strerror})", str(file), "check its owner"
        ) from error
