"""The rows of the tables: what each column means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from gpurig.stack.model import Accelerator, Flavour


@dataclass(frozen=True, kw_only=True)
class Row:
    """What every row has: where its figures are from, and when they were read."""

    source: str
    date: date


@dataclass(frozen=True, kw_only=True)
class GpuRow(Row):
    """GPUs of one kind, by PCI device id; see tables/gpus.toml."""

    architecture: str
    chips: str
    compute_capability: str
    ids: list[str]
    flavours: list[Flavour]
    cuda_first: str
    cuda_last: str | None = None
    first_branch: int | None = None
    last_branch: int | None = None


@dataclass(frozen=True, kw_only=True)
class NvswitchRow(Row):
    """NVSwitches by PCI device id: a machine that has one needs the fabric manager."""

    chips: str
    ids: list[str]


@dataclass(frozen=True, kw_only=True)
class AcceleratorRow(Row):
    """What computes and is no NVIDIA GPU, by PCI id or platform, and what framework serves it."""

    name: str
    accelerator: Accelerator
    framework: str
    ids: list[str] = field(default_factory=list)
    platform: str | None = None


@dataclass(frozen=True, kw_only=True)
class BranchRow(Row):
    """One branch of NVIDIA's driver; see tables/branches.toml."""

    number: int
    kind: str
    end_of_life: str | None = None
    cuda_major: int | None = None
    versions: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it was over when the row was written."""
        end = self.end_of_life
        return end is not None and (end == "ended" or end < f"{self.date:%Y-%m}")


@dataclass(frozen=True, kw_only=True)
class DriverRow(Row):
    """A driver as a distribution packages it; see tables/drivers.toml."""

    distribution: str
    release: str
    architectures: list[str]
    branch: int
    version: str
    flavour: Flavour
    kernel: str
    packages: list[str]
    module: str
    dkms: str
    components: list[str]
    fabric_manager: str | None = None


@dataclass(frozen=True, kw_only=True)
class BrokenRow(Row):
    """
    A packaged driver that cannot be had, or that does not build on kernels from one on.

    + origin: ``distribution`` or ``nvidia``; kernel_from: the first kernel it is true of
    """

    distribution: str
    release: str
    branch: int
    flavour: Flavour
    reason: str
    origin: str = "distribution"
    kernel_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class NvidiaRepositoryRow(Row):
    """
    NVIDIA's repository for one distribution; see tables/repositories.toml.

    + machines: NVIDIA's name of each architecture that it serves, ``aarch64`` is ``sbsa``
    + key: the file in the repository; fingerprint: None where nobody has verified it
    + branches: the driver branches that it has
    + cuda_first: the oldest toolkit that it has
    + modules: whether dnf installs drivers there by module streams
    """

    distribution: str
    release: str
    name: str
    machines: dict[str, str]
    key: str
    branches: list[int]
    fingerprint: str | None = None
    cuda_first: str = ""
    modules: bool = False


@dataclass(frozen=True, kw_only=True)
class NvidiaRootRow(Row):
    """The address that NVIDIA's repositories have in common; rig_repositories can move it."""

    address: str


@dataclass(frozen=True, kw_only=True)
class NvidiaPackagesRow(Row):
    """
    How NVIDIA's repositories name a driver; ``{branch}`` is replaced in every text.

    + family: ``debian``, ``ubuntu``, ``rhel`` or ``fedora``
    + first_branch, last_branch: the branches that are named so
    + pinning: the package that keeps a host on the branch; fabric_manager: for NVSwitches
    """

    family: str
    flavour: Flavour
    packages: list[str]
    module: str
    dkms: str
    fabric_manager: str
    first_branch: int | None = None
    last_branch: int | None = None
    pinning: str | None = None
    stream: str | None = None


@dataclass(frozen=True, kw_only=True)
class RetiredKeyRow(Row):
    """A signing key that was used once and is to be found no more."""

    repository: str
    fingerprint: str
    retired: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class KernelsRow(Row):
    """
    The kernels that a distribution builds for an architecture.

    + flavours: what ends a kernel's release, first the usual one; ``{flavour}`` in image and
      headers is replaced
    """

    family: str
    machine: str
    flavours: list[str]
    image: str
    headers: list[str]


@dataclass(frozen=True, kw_only=True)
class DistributionRow(Row):
    """
    A distribution and what it brings; see tables/distributions.toml.

    + ids: of os-release; version: what its version begins with, or empty for a rolling one
    + release: how the other tables call that; of a derivative, the one that it is `like`
    + like: the distribution that a derivative is made of, ``ubuntu:24.04``, whose row has all that
      its own row leaves out
    + codename: of the suites that its packages come from; origin: what their Release files say
    + family: how packages and kernels are named: ``debian``, ``ubuntu``, ``rhel``, ``fedora``,
      ``macos``; packages: ``apt``, ``dnf`` or empty
    + pythons: the first is python3, the others can be installed beside it
    + gccs: majors of gcc, the first is the default
    """

    ids: list[str]
    version: str
    release: str
    codename: str
    name: str
    family: str
    packages: str
    pythons: list[str]
    gccs: list[int]
    docker: str | None = None
    docker_packages: list[str] = field(default_factory=list)
    end_of_life: str | None = None
    origin: str = ""
    like: str | None = None

    @property
    def word(self) -> str:
        """What --os takes for it."""
        return f"{self.ids[0]}:{self.version}".rstrip(":")

    @property
    def python(self) -> str:
        """The version of its python3."""
        return self.pythons[0]


@dataclass(frozen=True, kw_only=True)
class ArchitectureRow(Row):
    """A supported architecture, as the kernel calls it and as Debian does."""

    machine: str
    debian: str


@dataclass(frozen=True, kw_only=True)
class CdiRow(Row):
    """From which Docker on CDI is there, and from which it needs no switch."""

    first: str
    on_by_default: str


@dataclass(frozen=True, kw_only=True)
class RootlessRow(Row):
    """
    What a Docker needs so that users can run it without root.

    + docker: its package; manager: of packages, ``apt`` or ``dnf``
    + packages: what brings dockerd-rootless.sh, RootlessKit, a network and subordinate ids
    """

    docker: str
    manager: str
    packages: list[str]


@dataclass(frozen=True, kw_only=True)
class PodmanRow(Row):
    """From which podman on which version of CDI specs is read."""

    first: str
    reads: str


@dataclass(frozen=True, kw_only=True)
class DockerRow(Row):
    """
    Docker's own repository for a family of distributions; see tables/containers.toml.

    + suites: the code names that it serves; version: its newest packages are at least that
    """

    family: str
    name: str
    root: str
    uri: str
    key: str
    fingerprint: str
    suites: list[str]
    components: list[str]
    packages: list[str]
    version: str


@dataclass(frozen=True, kw_only=True)
class ToolkitRow(Row):
    """NVIDIA's container toolkit and its repository; see tables/containers.toml."""

    name: str
    root: str
    uri: str
    rpm_uri: str
    suite: str
    key: str
    fingerprint: str
    packages: list[str]
    minimum_version: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class BuildRow:
    """
    One build of a framework's version, among the rows of its release.

    + platforms: ``linux-x86_64``, ``linux-aarch64``, ``macos-arm64``
    + cuda, cudnn, nccl: bounds on what its wheels bring (``>=12.5.82,<13``), None without CUDA
    + capabilities: compute capabilities that it holds code for; ``9.0+PTX`` is compiled anew at
      first use on whatever comes later
    + index: where the wheel of its first pin is, None for the index that the others come from
    + pins: what is asked for, as requirement specifiers
    """

    accelerator: Accelerator
    platforms: list[str]
    pins: list[str]
    cuda: str | None = None
    cudnn: str | None = None
    nccl: str | None = None
    capabilities: list[str] = field(default_factory=list)
    index: str | None = None


@dataclass(frozen=True, kw_only=True)
class FrameworkRow(Row):
    """
    A framework, whatever its release; `gpurig.contract.frameworks` has what follows from it.

    + title: as it calls itself
    + module: what its programs import, if it is not called as the framework
    + libraries: the folder of site-packages that its libraries are in, if it is not the module's
    + proofs: the programs of workloads/ that show that it works
    """

    name: str
    title: str = ""
    proofs: list[str] = field(default_factory=list)
    module: str | None = None
    libraries: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseRow(Row):
    """One version of a framework; see tables/frameworks.toml."""

    name: str
    version: str
    python: list[str]
    builds: list[BuildRow]
    workload_pins: list[str] = field(default_factory=list)
    doubts: dict[str, str] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    cpu_bases: list[str] = field(default_factory=list)
    sdist_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentSizeRow(Row):
    """
    The room that an environment takes, with what its workloads need.

    + framework: of its base where it has one; accelerator: of the build
    + gigabytes: of 10^9 bytes
    """

    framework: str
    accelerator: Accelerator
    gigabytes: float


@dataclass(frozen=True, kw_only=True)
class CudaMajorRow(Row):
    """The lowest driver that runs a CUDA major at all (minor-version compatibility)."""

    major: int
    driver: str


@dataclass(frozen=True, kw_only=True)
class CudaRow(Row):
    """
    One CUDA toolkit.

    + driver: with which every part of it works, None where it is not known
    + gcc, clang: the newest host compilers; capabilities: what it compiles for
    """

    version: str
    gcc: int
    clang: int
    capabilities: list[str]
    driver: str | None = None


@dataclass(frozen=True, kw_only=True)
class CudaPackagesRow(Row):
    """
    A CUDA toolkit as packages; ``{dashed}`` is the version with a dash.

    + distribution, release: whose package it is; both empty for NVIDIA's, of any distribution
    + home: its folder
    """

    origin: str
    packages: list[str]
    home: str
    distribution: str = ""
    release: str = ""
    version: str = ""
    first: str = ""
    components: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CudnnRow(Row):
    """
    Some versions of cuDNN, by the first and the last of them (None: and later ones).

    + capability: the lowest compute capability; cuda_majors: what it is built for
    """

    first: str
    cuda_majors: list[int]
    capability: str
    last: str | None = None


@dataclass(frozen=True, kw_only=True)
class CudnnPackagesRow(Row):
    """cuDNN as packages of NVIDIA's repository; ``{major}`` is CUDA's."""

    packages: list[str]
    wheel: str
