"""The tables that the resolver decides by: rows with their source and date, read once."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from gpurig.stack.model import Flavour

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
class BranchRow(Row):
    """One branch of NVIDIA's driver; see tables/branches.toml."""

    number: int
    kind: str
    end_of_life: str | None = None
    cuda_major: int | None = None


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

    @property
    def pair(self) -> tuple[int, Flavour]:
        """Branch and flavour."""
        return self.branch, self.flavour


@dataclass(frozen=True, kw_only=True)
class BrokenRow(Row):
    """A packaged driver that cannot be had, or from which kernel on it does not build."""

    distribution: str
    release: str
    branch: int
    flavour: Flavour
    reason: str
    kernel_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class DistributionRow(Row):
    """A supported distribution and what it brings."""

    id: str
    release: str
    name: str
    python: str
    docker: str
    docker_packages: list[str]


@dataclass(frozen=True, kw_only=True)
class ArchitectureRow(Row):
    """A supported architecture: as the kernel and as Debian call it, and its kernel flavours."""

    machine: str
    debian: str
    kernel_flavours: list[str]


@dataclass(frozen=True, kw_only=True)
class CdiRow(Row):
    """From which Docker on CDI is there, and from which it needs no switch."""

    first: str
    on_by_default: str


@dataclass(frozen=True, kw_only=True)
class ToolkitRow(Row):
    """NVIDIA's container toolkit and its repository; see tables/containers.toml."""

    name: str
    root: str
    uri: str
    suite: str
    key: str
    fingerprint: str
    packages: list[str]
    minimum_version: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class FrameworkRow(Row):
    """One version of a framework; see tables/frameworks.toml."""

    name: str
    version: str
    python: list[str]
    machines: list[str]
    cuda_machines: list[str]
    cuda: str
    cudnn: str
    cpu_pins: list[str]
    cuda_pins: list[str]
    workload_pins: list[str]
    doubts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CudaRow(Row):
    """The lowest driver that runs a CUDA major."""

    major: int
    driver: str


@dataclass(frozen=True, kw_only=True)
class CudnnRow(Row):
    """The last cuDNN for GPUs older than a compute capability."""

    before: str
    package: str
    maximum: str


@dataclass(frozen=True)
class Tables:
    """All of them."""

    gpus: tuple[GpuRow, ...]
    branches: tuple[BranchRow, ...]
    drivers: tuple[DriverRow, ...]
    broken: tuple[BrokenRow, ...]
    distributions: tuple[DistributionRow, ...]
    architectures: tuple[ArchitectureRow, ...]
    cdi: CdiRow
    toolkit: ToolkitRow
    frameworks: tuple[FrameworkRow, ...]
    cudas: tuple[CudaRow, ...]
    cudnns: tuple[CudnnRow, ...]

    def rows(self) -> list[Row]:
        """Every row."""
        found: list[Row] = []
        for table in fields(self):
            value = getattr(self, table.name)
            found += value if isinstance(value, tuple) else [value]
        return found


@cache
def tables() -> Tables:
    """The tables that ship with gpurig."""
    drivers, distributions = _read("drivers"), _read("distributions")
    containers, frameworks = _read("containers"), _read("frameworks")
    return Tables(
        gpus=_rows(GpuRow, _read("gpus")["gpu"]),
        branches=_rows(BranchRow, _read("branches")["branch"]),
        drivers=_rows(DriverRow, drivers["driver"]),
        broken=_rows(BrokenRow, drivers["broken"]),
        distributions=_rows(DistributionRow, distributions["distribution"]),
        architectures=_rows(ArchitectureRow, distributions["architecture"]),
        cdi=CdiRow(**containers["cdi"]),
        toolkit=ToolkitRow(**containers["toolkit"]),
        frameworks=_rows(FrameworkRow, frameworks["framework"]),
        cudas=_rows(CudaRow, frameworks["cuda"]),
        cudnns=_rows(CudnnRow, frameworks["cudnn"]),
    )


R = TypeVar("R", bound=Row)


def _rows(kind: type[R], rows: list[dict[str, Any]]) -> tuple[R, ...]:
    return tuple(kind(**row) for row in rows)


def _read(name: str) -> dict[str, Any]:
    path = files("gpurig.stack").joinpath("tables", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
