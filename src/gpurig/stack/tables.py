"""The tables that the resolver decides by: rows with their source and date, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from gpurig.contract import table_files
from gpurig.errors import InputError, InternalError
from gpurig.stack.own_tables import KINDS, OwnRow, counting, joined
from gpurig.stack.rows import (
    AcceleratorRow,
    ArchitectureRow,
    ArchiveRow,
    BranchRow,
    BrokenRow,
    BuildRow,
    CdiRow,
    CudaMajorRow,
    CudaPackagesRow,
    CudaRow,
    CudnnPackagesRow,
    DistributionRow,
    DockerRow,
    DriverRow,
    EnvironmentSizeRow,
    FabricRow,
    FrameworkRow,
    GpuListRow,
    GpuNameRow,
    GpuRow,
    KernelsRow,
    LibraryRow,
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
    VgpuRow,
)
from gpurig.stack.versions import numbers


@dataclass(frozen=True)
class Tables:
    """All of them; the fields are the names of the arrays in the files."""

    gpu: tuple[GpuRow, ...]
    gpu_list: tuple[GpuListRow, ...]
    gpu_name: tuple[GpuNameRow, ...]
    vgpu: tuple[VgpuRow, ...]
    nvswitch: tuple[NvswitchRow, ...]
    fabric: tuple[FabricRow, ...]
    accelerator: tuple[AcceleratorRow, ...]
    branch: tuple[BranchRow, ...]
    driver: tuple[DriverRow, ...]
    broken: tuple[BrokenRow, ...]
    archive: tuple[ArchiveRow, ...]
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
    cudnn: tuple[LibraryRow, ...]
    nccl: tuple[LibraryRow, ...]
    cudnn_packages: tuple[CudnnPackagesRow, ...]

    def rows(self) -> list[Row]:
        """Every row."""
        return [row for table in fields(self) for row in getattr(self, table.name)]


FILES = (
    "gpus", "gpu_ids", "gpu_names", "vgpus", "branches", "drivers", "repositories",
    "distributions", "containers", "frameworks", "cuda",
)  # fmt: skip


@cache
def shipped() -> Tables:
    """The tables that ship with gpurig; each array of the files is a field of the same name."""
    read: dict[str, list[dict[str, Any]]] = {}
    for name in FILES:
        for table, rows in table_files.read(name).items():
            read.setdefault(table, []).extend(rows)
    read["distribution"] = _whole(read["distribution"])
    read["driver"] = [row for both in read["driver"] for row in _flavours(both)]
    kinds = get_type_hints(Tables)
    return Tables(**{name: _rows(get_args(kinds[name])[0], rows) for name, rows in read.items()})


@cache
def tables() -> Tables:
    """The tables that count, for good: what is decided by them is kept as well."""
    return merged()


def merged() -> Tables:
    """The tables that ship, with the rows of `use` so far."""
    found = shipped()
    return replace(found, **{name: joined(name, getattr(found, name), _own) for name in KINDS})


_own: list[OwnRow] = []


def own() -> tuple[OwnRow, ...]:
    """The rows beside those that ship which count."""
    return tuple(_own)


def use(rows: Sequence[OwnRow]) -> None:
    """
    Count these rows beside those that ship, before anything is looked up.

    InternalError after that: what was decided by other tables would stay.
    """
    for one in rows:
        _refuse_unknown_cuda(one)
    found = counting(vars(shipped()), rows)
    if found == _own:
        return
    if tables.cache_info().currsize:
        raise InternalError("tables-late", "tables were read before those of the user")
    _own[:] = found


def _refuse_unknown_cuda(one: OwnRow) -> None:
    """A build whose CUDA has no row: which driver it needs is not known."""
    builds = one.row.builds if isinstance(one.row, ReleaseRow) else []
    known = {row.major for row in shipped().cuda_major}
    for build in builds:
        if build.cuda and numbers(build.cuda.lstrip(">=~"))[0] not in known:
            what = (
                f"row {one.place} of {one.table} brings CUDA {build.cuda}, and which driver that"
                " needs is in no table"
            )
            raise InputError("tables-wrong", what, one.file, "remove the row, or update gpurig")


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


def _flavours(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of a packaged driver for each of its flavours; ``{open}`` in packages is replaced."""
    if "flavours" not in row:
        return [row]
    own = {key: value for key, value in row.items() if key != "flavours"}
    return [
        own
        | {"flavour": one}
        | {"packages": [p.format(open="-open" * (one == "open")) for p in row["packages"]]}
        for one in row["flavours"]
    ]


def _built(row: dict[str, Any]) -> dict[str, Any]:
    if "builds" in row:
        return row | {"builds": [BuildRow(**build) for build in row["builds"]]}
    return row
