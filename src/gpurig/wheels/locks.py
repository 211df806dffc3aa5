"""Hashed locks: which exact wheels an environment is made of, decided once for all hosts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from packaging.utils import canonicalize_name

from gpurig import store
from gpurig.contract.frameworks import frameworks
from gpurig.errors import GpurigError
from gpurig.stack.frameworks import cpu_bases, gigabytes
from gpurig.stack.model import Environment, Stack
from gpurig.wheels import lock_text, resolving
from gpurig.wheels.resolving import BUILD


@dataclass(frozen=True)
class Lock:
    """
    + key: its name, ``tensorflow-2.21.0-py3.13-x86_64-cuda``
    + text: as ``pip install --require-hashes -r`` takes it
    + index: where those of its wheels are that the usual index does not have
    + warning: what is to be said of it, or empty
    + place: the file in which it is kept, ``this run`` where it is new, empty where it ships

    GpurigError, one sentence, for a text that has anything else than pins with hashes.
    """

    key: str
    text: str = field(repr=False)  # pyinfra prints the arguments of operations
    index: str | None = None
    warning: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        try:
            lock_text.read(self.text)
        except ValueError as error:
            raise GpurigError(
                "lock-wrong",
                f"is no lock ({error})",
                self.place or self.key,
                "remove it, and gpurig resolves another",
            ) from error

    @property
    def locked(self) -> str:
        """How a plan names it: by its file, unless it ships."""
        return f"as locked in {self.place}" if self.place else "as locked"


def find(
    environment: Environment, architecture: str, index: str | None = None, renew: bool = False
) -> Lock:
    """
    The lock of an environment.

    + architecture: ``x86_64`` or ``aarch64``
    + index: where wheels are looked for if it has to be resolved first
    + renew: resolve it anew, once a run, and keep it only when `keep` says so

    Looked for in ``locks/`` beside the inventory, in the user's own locks, then among those that
    ship; one that is there outranks the tables. With none, this machine resolves it once, however
    many hosts and runs want it, and keeps it. GpurigError if that is not possible; InputError for
    one that others can change.
    """
    with store.one_at_a_time(environment.lock):
        if renew and environment.lock not in _renewed:
            new = replace(_resolved(environment, architecture, index), place="this run")
            _renewed.update({environment.lock: new, new.key: new})
        if found := _renewed.get(environment.lock) or _there(environment):
            return found
        return _write(_resolved(environment, architecture, index))


def fitted(stack: Stack, index: str | None, renew: bool = False) -> Stack:
    """
    The stack with the locks that its environments and images get, and what is to be said of them.

    Where a build's own index cannot be used, they are those of the usual build. Arguments and
    errors as of `find`.
    """
    warnings = list(stack.warnings)

    def as_locked(environment: Environment) -> Environment:
        lock = find(environment, stack.architecture, index, renew)
        if lock.key == environment.lock:
            return environment
        room = environment.gigabytes
        if lock.warning:
            room = gigabytes(environment.base or environment.framework, "cuda")
        if lock.warning and lock.warning not in warnings:
            warnings.append(lock.warning)
        return replace(environment, lock=lock.key, index=lock.index, gigabytes=room)

    return replace(
        stack,
        environments=tuple(as_locked(environment) for environment in stack.environments),
        images=tuple(
            replace(image, environment=image.environment and as_locked(image.environment))
            for image in stack.images
        ),
        warnings=tuple(warnings),
    )


def kept() -> tuple[str, ...]:
    """The keys of the locks that are kept here, without those that ship."""
    found = {file.stem for folder in _folders() for file in folder.glob("*.txt")}
    return tuple(sorted(found))


def keep() -> None:
    """Keep the locks that were renewed in this run."""
    for lock in _renewed.values():
        _write(lock)


def look_beside(inventory: Path) -> None:
    """Look for locks, and keep them, beside this inventory."""
    _inventories.insert(0, inventory.parent)


def pins(lock: str) -> dict[str, str]:
    """What a lock pins: version by normalised name."""
    return {name: pin.version for name, pin in lock_text.read(lock).items()}


def rivals(environment: Environment, lock: str) -> tuple[str, ...]:
    """The wheels of an environment's framework that its lock has not; they write the same files."""
    wheels = frameworks()[environment.base or environment.framework].wheels
    return tuple(sorted({normalised(wheel) for wheel in wheels} - set(pins(lock))))


def normalised(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return canonicalize_name(name.strip())


def build_part(lock: str) -> str:
    """The part of a lock that is installed first, because others are built with it."""
    return lock_text.written(lock_text.read(lock), [BUILD])


_renewed: dict[str, Lock] = {}  # by key, in this run
_inventories: list[Path] = []


def _folders() -> list[Path]:
    """Where locks may be kept, the nearest first."""
    beside = [folder / "locks" for folder in _inventories[:1]]
    return [*beside, store.configuration() / "locks"]


def _there(environment: Environment) -> Lock | None:
    """The lock that is kept or ships, or what was kept where its index could not be used."""
    if found := _read(environment.lock, environment.index):
        return found
    usual = _usual_key(environment)
    found = _read(usual, None) if usual else None
    return found and replace(found, warning=_without_index(environment, found.text))


def _read(key: str, index: str | None) -> Lock | None:
    for folder in _folders():
        file = folder / f"{key}.txt"
        if file.is_file():
            return Lock(key, store.read(file), index, place=str(file))
    shipped = files("gpurig.wheels") / "data" / "locks" / f"{key}.txt"
    return Lock(key, shipped.read_text(), index) if shipped.is_file() else None


def _resolved(environment: Environment, architecture: str, index: str | None) -> Lock:
    """
    Its lock, resolved now.

    A build for the CPU whose own index cannot be used becomes the usual build, which computes
    on the CPU as well; one for CUDA was chosen because the usual build does not serve.
    """
    try:
        text = resolving.resolved(environment, architecture, index, environment.index)
    except GpurigError:
        usual = _usual_key(environment)
        if not usual:
            raise
        text = resolving.resolved(environment, architecture, index)
        if _brings_cuda(text) and environment.base in cpu_bases(environment.framework):
            raise  # it cannot be built on that
        return Lock(usual, text, warning=_without_index(environment, text))
    return Lock(environment.lock, text, environment.index)


def _usual_key(environment: Environment) -> str | None:
    """The key of the lock of the usual build, where that may take the place of this one."""
    if environment.index is None or environment.accelerator != "cpu":
        return None
    own = f"-{environment.accelerator}-{environment.index.rpartition('/')[2]}"
    return environment.lock.replace(own, f"-{environment.accelerator}", 1)


def _brings_cuda(lock: str) -> bool:
    """Whether a lock has CUDA's libraries; an index of one's own may have the CPU's build only."""
    return any(name.startswith("nvidia-cu") for name in pins(lock))


def _without_index(environment: Environment, lock: str) -> str:
    if not _brings_cuda(lock):
        return ""
    framework = environment.base or environment.framework
    return (
        f"{environment.name}: CPU wheels are not available from"
        f" {environment.index}; using the default wheels with CUDA"
        f" ({gigabytes(framework, 'cuda'):.1f} GB instead of"
        f" {environment.gigabytes:.1f} GB). For CPU wheels set a"
        " mirror (rig_repositories, pytorch) and run with --upgrade"
    )


def _write(lock: Lock) -> Lock:
    *beside, own = _folders()
    folder = next((there for there in beside if there.is_dir()), own)
    file = folder / f"{lock.key}.txt"
    store.write(file, lock.text, mode=0o644)  # a lab shares them, and they name no host
    return replace(lock, place=str(file))
