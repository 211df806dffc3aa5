"""What the resolver answers: a stack, or the refusal of one, each with its reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Flavour = Literal["open", "proprietary"]
Accelerator = Literal["cpu", "cuda", "mps", "tpu"]


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
class Archive:
    """
    The archive that a distribution's own packages come from.

    + origin: what its Release files say, ``Debian``; codename: of its suites, ``trixie``
    """

    origin: str
    codename: str


@dataclass(frozen=True)
class Driver:
    """
    The NVIDIA driver to have.

    + branch: ``550``
    + flavour: which kernel module
    + source: ``distribution`` or ``nvidia``; of a driver that is found and kept also ``runfile``
      or ``other``
    + packages: what the package manager is asked for, everything else comes by dependency; empty
      where a driver from elsewhere is kept
    + module: the kernel module's name on disk, ``nvidia-current`` in Debian's packages
    + dkms: dkms's name of it, empty where the packages bring it built and signed
    + minimum_version: what the row was written for, ``550.163.01``, and never less than `oldest`
    + oldest: the first version that knows every GPU of the host, where not all of the branch do
    + components: the archive components the packages need (``contrib``, ``non-free`` …)
    + repository: NVIDIA's, where the packages come from it
    + pinning: the package that keeps the host on the branch, installed before the driver
    + stream: the dnf module stream of the branch, where the distribution has modules
    + fabric_manager: the package of the fabric manager, on machines with NVSwitches
    + build: whether a kernel module is built for the kernels of this host
    """

    branch: str
    flavour: Flavour
    source: str
    packages: tuple[str, ...]
    module: str
    dkms: str
    minimum_version: str
    oldest: str | None = None
    components: tuple[str, ...] = ()
    repository: Repository | None = None
    pinning: str | None = None
    stream: str | None = None
    fabric_manager: str | None = None
    build: bool = True


@dataclass(frozen=True)
class Kernel:
    """
    The kernel that boots next.

    + release: as in ``uname -r``, or ``None`` where an image gets its first one
    + packages: what keeps headers with it and with every later one
    + boot: ``newest``, or ``with-driver`` where the newest kernel that has the module is to be
      the boot default
    """

    release: str | None
    packages: tuple[str, ...]
    boot: str = "newest"


@dataclass(frozen=True)
class Cuda:
    """
    The CUDA toolkit.

    + version: bounds on the runtime of wheels (``>=12.5.82,<13``), or the version of the system's
    + origin: ``wheels``, ``distribution`` or ``nvidia``; "from" in the JSON
    + packages, home: of the system's, and its folder (``/usr/local/cuda-12.8``)
    + gcc: the major of the host compiler that nvcc is given, where the default one is too new
    + capabilities: the compute capabilities of the host's GPUs, which it compiles for
    + components: of the archive, repository: NVIDIA's, where its packages come from
    """

    version: str
    origin: str
    packages: tuple[str, ...] = ()
    home: str | None = None
    gcc: int | None = None
    capabilities: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    repository: Repository | None = None


@dataclass(frozen=True)
class Cudnn:
    """
    cuDNN.

    + version: bounds on the wheels' (``>=9.3.0.75,<10``), or what the system's packages bring
    + maximum: the highest version that the GPUs and the settings allow, or ``None``
    + minimum: the lowest one that the settings allow, or ``None``
    + origin: ``wheels`` or ``nvidia``; "from" in the JSON
    + packages: of the system's, from the repository
    """

    version: str
    maximum: str | None
    origin: str = "wheels"
    packages: tuple[str, ...] = ()
    repository: Repository | None = None
    minimum: str | None = None


@dataclass(frozen=True)
class Docker:
    """
    Docker: where from, its packages, and whether CDI must be switched on for its version.

    + repository: Docker's own, where it was asked for
    """

    source: str
    packages: tuple[str, ...]
    cdi_feature: bool
    repository: Repository | None = None


@dataclass(frozen=True)
class Rootless:
    """Docker without root for each user: what it needs beside Docker's own packages."""

    packages: tuple[str, ...]


@dataclass(frozen=True)
class ContainerToolkit:
    """
    NVIDIA's container toolkit: packages of one version, its repository and how it works.

    + version: the one that was named, or ``None`` for any from `minimum_version` on
    """

    packages: tuple[str, ...]
    repository: Repository
    mode: str
    minimum_version: str
    version: str | None = None


@dataclass(frozen=True)
class Environment:
    """
    One Python environment.

    + name: its folder under ``rig_venv_root``
    + framework: ``tensorflow`` …; base: what it stands on (Horovod), or ``None``
    + version: the framework's version; python: ``3.13``; accelerator: ``cpu`` or ``cuda``
    + pins: what is asked for, as requirement specifiers
    + lock: the key of its lock, ``tensorflow-2.21.0-py3.13-x86_64-cuda``
    + index: where the framework's wheels are, ``None`` for where everything else comes from
    + gigabytes: the room that it takes on disk
    + python_mirror: where uv finds a Python that the distribution does not bring, else ``None``
    + python_package: what brings a Python that is not the distribution's usual one, else ``None``
    """

    name: str
    framework: str
    base: str | None
    version: str
    python: str
    accelerator: Accelerator
    pins: tuple[str, ...]
    lock: str
    index: str | None = None
    gigabytes: float = 0.0
    python_mirror: str | None = None
    python_package: str | None = None


@dataclass(frozen=True)
class Image:
    """
    One container image, on the host under the name ``gpurig/NAME``.

    + name: ``tensorflow``; of a saved image the file's name without its ending
    + file: the saved image on the control machine; ``None`` where the image is built
    + base, environment: what it is built on, and what is installed in it
    """

    name: str
    file: str | None = None
    base: str | None = None
    environment: Environment | None = None


@dataclass(frozen=True)
class Because:
    """One choice with its reason, the source of the rule, and what was rejected and why."""

    choice: str
    reason: str
    source: str
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """
    A component that is not set up here, and why.

    + undecided: whether the settings ask for it and gpurig cannot judge it: the host is not right
    """

    component: str
    reason: str
    undecided: bool = False


@dataclass(frozen=True)
class End:
    """
    What will stop being supported, and when: a month (``2028-06``) or ``ended``.

    + unverified: whether nobody has read the month where it is decided
    """

    what: str
    when: str
    consequence: str
    unverified: bool = False


@dataclass(frozen=True)
class Stack:
    """
    What fits this host. ``None`` where a component is left out; `left_out` says why.

    + package_manager: ``apt``, ``dnf``, or empty where there is none that gpurig uses
    + other_gpus: NVIDIA's GPUs that gpurig leaves alone; `left_out` has the reasons
    + archive: of a derivative, that of the distribution that it is made of
    """

    distribution: str
    architecture: str
    package_manager: str = "apt"
    archive: Archive = Archive("", "")
    gpus: tuple[Gpu, ...] = ()
    other_gpus: tuple[Gpu, ...] = ()
    assumed: bool = False
    driver: Driver | None = None
    kernel: Kernel | None = None
    cuda: Cuda | None = None
    cudnn: Cudnn | None = None
    docker: Docker | None = None
    rootless: Rootless | None = None
    container_toolkit: ContainerToolkit | None = None
    environments: tuple[Environment, ...] = ()
    images: tuple[Image, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    because: tuple[Because, ...] = ()
    ends: tuple[End, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stack without its reasons, which stand beside it; ``origin`` is called "from"."""
        told = asdict(self)
        for part in ("because", "warnings"):
            del told[part]
        for part in ("cuda", "cudnn"):
            if told[part]:
                told[part]["from"] = told[part].pop("origin")
        return told


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
        conflict = " conflict" * (len(self.conflict) > 1)
        return " and ".join(self.conflict) + conflict + (f"; {out}" if out else "")

    def as_json(self) -> dict[str, Any]:
        """The conflict and the ways out; the reasons stand beside it."""
        return {"conflict": self.conflict, "ways_out": [asdict(way) for way in self.ways_out]}
