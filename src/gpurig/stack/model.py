"""What the resolver answers: a stack, or the refusal of one, each with its reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Flavour = Literal["open", "proprietary"]
Accelerator = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Gpu:
    """
    One NVIDIA GPU.

    + id: PCI vendor and device, ``10de:2330``
    + architecture: ``hopper`` …, or ``None`` when the tables do not know the id
    + compute_capability: ``9.0`` …, or ``None``
    + address: PCI address on the host, or ``None`` when the GPU is assumed
    """

    id: str
    architecture: str | None
    compute_capability: str | None
    address: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Driver:
    """
    The NVIDIA driver to have.

    + branch: ``550``
    + flavour: which kernel module
    + source: ``distribution`` or ``nvidia``
    + packages: what apt is asked for; everything else comes by dependency
    + module: the kernel module's name on disk, ``nvidia-current`` in Debian's packages
    + dkms: dkms's name of it
    + minimum_version: what the row was written for, ``550.163.01``
    + components: the archive components the packages need (``contrib``, ``non-free`` …)
    + build: whether dkms has a kernel to build for (False inside a container that shares one)
    """

    branch: str
    flavour: Flavour
    source: str
    packages: tuple[str, ...]
    module: str
    dkms: str
    minimum_version: str
    components: tuple[str, ...] = ()
    build: bool = True


@dataclass(frozen=True)
class Kernel:
    """The kernel that boots next: its release and the packages that keep headers with it."""

    release: str | None
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Cuda:
    """The CUDA runtime: its version bound and where it comes from (``wheels``)."""

    version: str
    origin: str


@dataclass(frozen=True)
class Cudnn:
    """cuDNN: the version the framework was built for, and the highest the GPUs allow."""

    version: str
    maximum: str | None


@dataclass(frozen=True)
class Docker:
    """Docker: where from, its packages, and whether CDI must be switched on for its version."""

    source: str
    packages: tuple[str, ...]
    cdi_feature: bool


@dataclass(frozen=True)
class Repository:
    """
    A signed package repository.

    + name: how its files are called, ``nvidia-container-toolkit``
    + uri, suite: as in deb822, ``https://…/deb/amd64`` and ``/``
    + key_url, fingerprint: where its key is, and the one fingerprint accepted
    """

    name: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key_url: str
    fingerprint: str


@dataclass(frozen=True)
class ContainerToolkit:
    """NVIDIA's container toolkit: packages of one version, its repository and how it works."""

    packages: tuple[str, ...]
    repository: Repository
    mode: str
    minimum_version: str


@dataclass(frozen=True)
class Environment:
    """
    One Python environment.

    + name: its folder under ``rig_venv_root``
    + framework: ``tensorflow`` …; base: what it stands on (Horovod), or ``None``
    + version: the framework's version; python: ``3.13``; accelerator: ``cpu`` or ``cuda``
    + pins: what is asked for, as requirement specifiers
    + lock: the key of its lock, ``tensorflow-2.21.0-py3.13-x86_64-cuda``
    """

    name: str
    framework: str
    base: str | None
    version: str
    python: str
    accelerator: Accelerator
    pins: tuple[str, ...]
    lock: str


@dataclass(frozen=True)
class Because:
    """One choice with its reason, the source of the rule, and what was rejected and why."""

    choice: str
    reason: str
    source: str
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A component that is not set up here; ``asked`` if the user asked for it by name."""

    component: str
    reason: str


@dataclass(frozen=True)
class Stack:
    """What fits this host. ``None`` where a component is left out; `left_out` says why."""

    distribution: str
    architecture: str
    gpus: tuple[Gpu, ...] = ()
    assumed: bool = False
    driver: Driver | None = None
    kernel: Kernel | None = None
    cuda: Cuda | None = None
    cudnn: Cudnn | None = None
    docker: Docker | None = None
    container_toolkit: ContainerToolkit | None = None
    environments: tuple[Environment, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    because: tuple[Because, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class WayOut:
    """One way out of a refusal, and what it would cost."""

    change: str
    costs: str


@dataclass(frozen=True)
class Refusal:
    """The smallest set of wishes and facts that cannot hold together, and the ways out."""

    conflict: tuple[str, ...]
    ways_out: tuple[WayOut, ...]
    because: tuple[Because, ...] = field(default_factory=tuple)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        out = "; or ".join(way.change for way in self.ways_out)
        return " and ".join(self.conflict) + " cannot hold together" + (f"; {out}" if out else "")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
