"""The tables that the resolver decides by: rows with their source and date, read once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from gpurig.contract import table_files
from gpurig.stack.rows import (
    AcceleratorRow,
    ArchitectureRow,
    BranchRow,
    BrokenRow,
    BuildRow,
    CdiRow,
    CudaMajorRow,
    CudaPackagesRow,
    CudaRow,
    CudnnPackagesRow,
    CudnnRow,
    DistributionRow,
    DockerRow,
    DriverRow,
    EnvironmentSizeRow,
    FrameworkRow,
    GpuRow,
    KernelsRow,
    NvidiaPackagesRow,
    NvidiaRepositoryRow,
    NvidiaRootRow,
    NvswitchRow,
    PodmanRow,
    ReleaseRow,
    RetiredKeyRow,
    RootlessRow,
    Row,
    ToolkitRow,
)


@dataclass(frozen=True)
class Tables:
    """All of them; the fields are the names of the arrays in the files."""

    gpu: tuple[GpuRow, ...]
    nvswitch: tuple[NvswitchRow, ...]
    accelerator: tuple[AcceleratorRow, ...]
    branch: tuple[BranchRow, ...]
    driver: tuple[DriverRow, ...]
    broken: tuple[BrokenRow, ...]
    nvidia_root: tuple[NvidiaRootRow, ...]
    nvidia_repository: tuple[NvidiaRepositoryRow, ...]
    nvidia_packages: tuple[NvidiaPackagesRow, ...]
    retired_key: tuple[RetiredKeyRow, ...]
    kernels: tuple[KernelsRow, ...]
    distribution: tuple[DistributionRow, ...]
    architecture: tuple[ArchitectureRow, ...]
    cdi: tuple[CdiRow, ...]
    rootless: tuple[RootlessRow, ...]
    podman: tuple[PodmanRow, ...]
    docker: tuple[DockerRow, ...]
    toolkit: tuple[ToolkitRow, ...]
    framework: tuple[FrameworkRow, ...]
    release: tuple[ReleaseRow, ...]
    environment_size: tuple[EnvironmentSizeRow, ...]
    cuda_major: tuple[CudaMajorRow, ...]
    cuda: tuple[CudaRow, ...]
    cuda_packages: tuple[CudaPackagesRow, ...]
    cudnn: tuple[CudnnRow, ...]
    cudnn_packages: tuple[CudnnPackagesRow, ...]

    def rows(self) -> list[Row]:
        """Every row."""
        return [row for table in fields(self) for row in getattr(self, table.name)]


FILES = (
    "gpus", "branches", "drivers", "repositories", "distributions", "containers", "frameworks",
    "cuda",
)  # fmt: skip


@cache
def tables() -> Tables:
    """The tables that ship with gpurig; each array of the files is a field of the same name."""
    read: dict[str, list[dict[str, Any]]] = {}
    for name in FILES:
        for table, rows in table_files.read(name).items():
            read.setdefault(table, []).extend(rows)
    read["distribution"] = _whole(read["distribution"])
    kinds = get_type_hints(Tables)
    return Tables(**{name: _rows(get_args(kinds[name])[0], rows) for name, rows in read.items()})


R = TypeVar("R", bound=Row)


def _rows(kind: type[R], rows: list[dict[str, Any]]) -> tuple[R, ...]:
    return tuple(kind(**_built(row)) for row in rows)


def _whole(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of distributions, those of derivatives with what the distribution below them has."""
    known = {f"{name}:{row['release']}": row for row in rows for name in row["ids"]}
    below = [known[row["like"]] if "like" in row else row for row in rows]
    return [
        base | row | {"version": row["release"], "release": base["release"]}
        for base, row in zip(below, rows, strict=True)
    ]


def _built(row: dict[str, Any]) -> dict[str, Any]:
    if "builds" in row:
        return row | {"builds": [BuildRow(**build) for build in row["builds"]]}
    return row
