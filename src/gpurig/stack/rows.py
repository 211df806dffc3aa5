"""The rows of the tables: what each column means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from gpurig.stack.model import Accelerator, Flavour


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    What every row has: where its figures are from, and when they were read.

    + unverified: the columns whose figures nobody has read where they are made
    """

    source: str
    date: date
    unverified: list[str] = field(default_factory=list)

    def doubt(self, column: str) -> str:
        """What stands behind a figure of this column in sentences."""
        return " (unverified)" if column in self.unverified else ""


@dataclass(frozen=True, kw_only=True)
class GpuRow(Row):
    """
    GPUs of one kind, by PCI device id; see tables/gpus.toml.

    + arm: the ids of those that exist only beside an Arm CPU
    + jetson: whether they are on Jetson boards, which have their own stack
    """

    architecture: str
    chips: str
    compute_capability: str
    ids: list[str]
    flavours: list[Flavour]
    cuda_first: str
    cuda_last: str | None = None
    first_branch: int | None = None
    last_branch: int | None = None
    arm: list[str] = field(default_factory=list)
    jetson: bool = False


@dataclass(frozen=True, kw_only=True)
class GpuNameRow(Row):
    """What one source calls GPUs: their names by PCI device id (``2330``)."""

    names: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class GpuListRow(Row):
    """
    What one source says of the driver releases that know an id; see tables/gpu_ids.toml.

    + read: the last release that was read of each branch, oldest branch first
    + earlier: ids that the proprietary module drove before the open one listed them
    + first: by PCI device id (``2335``), the first release of each branch (``550.90.07``), and
      ``not 555`` for a branch that has none
    """

    read: list[str]
    earlier: list[str]
    first: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class VgpuRow(Row):
    """The subsystem ids that types of vGPU have, by the PCI device id of the GPU."""

    types: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class NvswitchRow(Row):
    """NVSwitches by PCI device id: a machine that has one needs the fabric manager."""

    chips: str
    ids: list[str]


@dataclass(frozen=True, kw_only=True)
class FabricRow(Row):
    """
    GPUs whose NVLink needs programs beside the driver, while no NVSwitch is on the host's PCI bus.

    + ids: PCI device ids; needs: ``fabric manager`` or ``IMEX``
    + board: how many of them a board has: a virtual machine with fewer has not the whole fabric
    """

    machines: str
    ids: list[str]
    needs: str
    board: int


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
    """
    A driver as a distribution packages it; see tables/drivers.toml.

    + version: what the release has; newest: what its updates have, where that is newer
    + kernel: the last series that it is known to build on, None where none is
    + signed: the flavours that the distribution also builds and signs modules of
    + line: ``server`` for Ubuntu's packaging for servers, else empty
    + fabric_manager: with its archive components, for machines with NVSwitches
    """

    distribution: str
    release: str
    architectures: list[str]
    branch: int
    version: str
    flavour: Flavour
    packages: list[str]
    module: str
    dkms: str
    components: list[str]
    kernel: str | None = None
    newest: str | None = None
    signed: list[Flavour] = field(default_factory=list)
    line: str = ""
    fabric_manager: str | None = None
    fabric_components: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class BrokenRow(Row):
    """
    A packaged driver that cannot be had, or that does not build on kernels from one on.

    + origin: ``distribution`` or ``nvidia``; kernel_from: the first kernel it is true of
    + revised: whether another revision of the package builds, so that dkms judges an installed one
    """

    distribution: str
    release: str
    branch: int
    flavour: Flavour
    reason: str
    origin: str = "distribution"
    kernel_from: str | None = None
    revised: bool = False


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
class ArchiveRow(Row):
    """
    How the archive of a family of distributions is made, for `gpurig tables refresh`.

    + updates: how the suites of updates end that are beside a release's own, ``-updates``
    + without_updates: the code names that have none
    + keyring: of the package that brings the archive's keys
    """

    family: str
    updates: list[str]
    keyring: str
    without_updates: list[str] = field(default_factory=list)


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
    + lines: headers by ``FLAVOUR`` or ``FLAVOUR RELEASE`` of kernels after the release's own
      series; first_lines: of its own series; ``{release}`` and ``{series}`` are replaced
    """

    family: str
    machine: str
    flavours: list[str]
    image: str
    headers: list[str]
    lines: dict[str, str] = field(default_factory=dict)
    first_lines: dict[str, str] = field(default_factory=dict)


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
    + kernel: the series of the release's own kernels, where it has others beside them
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
    kernel: str = ""
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
    + capabilities: compute capabilities that its cubins are for; ptx: targets of the PTX that
      every kernel has, which a GPU without a cubin compiles at first use. ``9.0a`` is for 9.0
      alone, ``10.0f`` for its major
    + compiler: the newest compute capability that its own compiler makes code for, if it has one
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
    ptx: list[str] = field(default_factory=list)
    compiler: str | None = None
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
class LibraryRow(Row):
    """
    Some versions of cuDNN or NCCL, by the first and the last of them (None: and later ones).

    + cuda_majors: what it is built for; capability, capability_last: the lowest and the highest
      compute capability that it has code for; a GPU of the same major runs that of the highest
    """

    first: str
    cuda_majors: list[int]
    capability: str
    capability_last: str | None = None
    last: str | None = None


@dataclass(frozen=True, kw_only=True)
class CudnnPackagesRow(Row):
    """cuDNN as packages of NVIDIA's repository; ``{major}`` is CUDA's."""

    packages: list[str]
    wheel: str
