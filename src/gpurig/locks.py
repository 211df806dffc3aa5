"""Hashed locks: which exact wheels an environment is made of, decided once for all hosts."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from gpurig import lock_resolving
from gpurig.errors import GpurigError
from gpurig.lock_resolving import BUILD
from gpurig.stack.model import Environment


@dataclass(frozen=True)
class Lock:
    """
    + key: its name, ``tensorflow-2.21.0-py3.13-x86_64-cuda``
    + text: as ``pip install --require-hashes -r`` takes it
    + index: where those of its wheels are that the usual index does not have
    + warning: what is to be said of it, or empty
    """

    key: str
    text: str = field(repr=False)  # pyinfra prints the arguments of operations
    index: str | None = None
    warning: str = ""


def find(
    environment: Environment, architecture: str, index: str | None = None, renew: bool = False
) -> Lock:
    """
    The lock of an environment.

    + architecture: ``x86_64`` or ``aarch64``
    + index: where wheels are looked for if it has to be resolved first
    + renew: resolve it anew, once a run, and keep it only when `keep` says so

    Looked for in ``locks/`` beside the inventory and of the working folder, in the user's own
    locks, then among those that ship; one that is there outranks the tables. With none, this
    machine resolves it once, however many hosts and runs want it, and keeps it. GpurigError if
    that is not possible.
    """
    with _one_at_a_time(environment.lock):
        if renew and environment.lock not in _renewed:
            _renewed[environment.lock] = _resolved(environment, architecture, index)
        if found := _renewed.get(environment.lock) or _there(environment):
            return found
        resolved = _resolved(environment, architecture, index)
        _write(resolved)
        return resolved


def keep() -> None:
    """Keep the locks that were renewed in this run."""
    for lock in _renewed.values():
        _write(lock)


def look_beside(inventory: Path) -> None:
    """Look for locks, and keep them, beside this inventory rather than in the working folder."""
    _inventories.insert(0, inventory.parent)


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


_renewed: dict[str, Lock] = {}  # by key, in this run
_inventories: list[Path] = []


def _folders() -> list[Path]:
    """Where locks may be kept, the nearest first."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return [
        *(folder / "locks" for folder in (*_inventories[:1], Path())),
        Path(config) / "gpurig" / "locks",
    ]


def _there(environment: Environment) -> Lock | None:
    """The lock that is kept or ships, or what was kept where its index could not be used."""
    key, usual = environment.lock, _usual_key(environment)
    if found := _read(key, environment.index):
        return found
    if usual == key or not (found := _read(usual, None)):
        return None
    return Lock(usual, found.text, warning=_without_index(environment, "when it was resolved"))


def _read(key: str, index: str | None) -> Lock | None:
    shipped = files("gpurig.stack") / "locks"
    for folder in (*_folders(), shipped):
        file = folder / f"{key}.txt"
        if file.is_file():
            return Lock(key, file.read_text(), index)
    return None


def _resolved(environment: Environment, architecture: str, index: str | None) -> Lock:
    """
    Its lock, resolved now.

    A build for the CPU whose own index cannot be used becomes the usual build, which computes
    on the CPU as well; one for CUDA was chosen because the usual build does not serve.
    """
    try:
        text = lock_resolving.resolved(environment, architecture, index, environment.index)
    except GpurigError as error:
        usual = _usual_key(environment)
        if environment.accelerator != "cpu" or usual == environment.lock:
            raise
        text = lock_resolving.resolved(environment, architecture, index)
        return Lock(usual, text, warning=_without_index(environment, error.what))
    return Lock(environment.lock, text, environment.index)


def _usual_key(environment: Environment) -> str:
    """The key of its lock with the wheels of the usual index."""
    if environment.index is None:
        return environment.lock
    return environment.lock.replace(f"-{environment.index.rpartition('/')[2]}", "", 1)


def _without_index(environment: Environment, why: str) -> str:
    return f"{environment.name}: {environment.index} could not be used ({why})"


def _write(lock: Lock) -> None:
    nearest, *others = _folders()
    folder = next((f for f in (nearest, *others[:-1]) if f.is_dir()), others[-1])
    file = folder / f"{lock.key}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged = file.with_suffix(f".{os.getpid()}")
        staged.write_text(lock.text)
        staged.replace(file)
    except OSError as error:
        raise GpurigError(
            "lock-unwritable", f"cannot be written ({error.strerror})", str(file), "check its owner"
        ) from error


@contextmanager
def _one_at_a_time(key: str) -> Iterator[None]:
    """Keep others off a lock: the hosts of this run, which are greenlets, and other runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "gpurig" / "resolving"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)  # waiting in flock itself would hold up every greenlet
        yield
