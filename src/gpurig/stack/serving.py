"""Whether an option computes on a GPU of the site: by its wheels, by what they bring, by driver."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from packaging.specifiers import SpecifierSet

from gpurig.stack.frameworks import Option
from gpurig.stack.gpus import called, row_of, runs_code, runs_cubin
from gpurig.stack.model import Driver, Gpu
from gpurig.stack.rows import BuildRow, LibraryRow
from gpurig.stack.site import Site
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers


def obstacle(site: Site, option: Option, driver: str | None) -> str | None:
    """
    Why this option does not compute on any GPU of the site, or None if it does.

    + driver: the version that is there or will be; None where it is not known
    """
    if why := gpu_obstacle(site, option):
        return why
    floor = floor_of(option.build)
    if driver and numbers(driver) < numbers(floor):
        major = major_of(option.build)
        return f"{option.title} brings CUDA {major}, which needs driver {floor} or newer"
    return None


def gpu_obstacle(site: Site, option: Option) -> str | None:
    """The same whatever the driver."""
    if option.build.accelerator != "cuda":
        return f"the wheel of {option.title} for {site.platform} has no CUDA"
    unserved = [why for gpu in site.kinds if (why := unserved_by(site, gpu, option))]
    return unserved[0] if len(unserved) == len(site.kinds) else None


def unserved_by(site: Site, gpu: Gpu, option: Option) -> str | None:
    """Why the option has no code for this GPU, in its wheels or in what they bring, or None."""
    if row_of(gpu.id) is None or gpu.compute_capability is None:
        # gpurig does not guess: a person who knows the GPU sets rig_accelerator = "cuda".
        wished = site.settings.accelerator == "cuda"
        return None if wished else f"GPU {gpu.id} is not in gpurig's tables"
    why = _without_code(gpu.compute_capability, option.build)
    return f"{called(gpu)}: {option.title} {why}" if why else None


def _without_code(capability: str, build: BuildRow) -> str | None:
    """What a build lacks for GPUs of this compute capability, or None."""
    if not runs_code(capability, build):
        bound = " and ".join(one for one in build.ptx if one[-1] in "af")
        alone = f" (it has PTX for {bound} alone)" if bound else ""
        return f"has no code for compute capability {capability}{alone}"
    if build.compiler and numbers(build.compiler)[0] < numbers(capability)[0]:
        return f"has a compiler that knows nothing past compute capability {build.compiler}"
    return _without_libraries(capability, build) if build.cudnn else None


def _without_libraries(capability: str, build: BuildRow) -> str | None:
    """What of cuDNN and CUDA, that a build asks for, has no code for a compute capability."""
    asked = build.cudnn or ""
    limit = cudnn_limit_of(capability)
    if limit and lowest(asked) > numbers(limit):
        return f"needs a cuDNN newer than {limit}, the last for this GPU"
    if not any(covers(row, capability) and _overlaps(asked, row) for row in tables().cudnn):
        return f"needs cuDNN {asked}, which has no code for compute capability {capability}"
    if not _compiled_for(capability, build.cuda or ""):
        return f"needs CUDA {build.cuda}, which has no code for compute capability {capability}"
    return None


def covers(row: LibraryRow, capability: str) -> bool:
    """Whether these versions have code for a compute capability."""
    last = row.capability_last
    newest = last is None or numbers(capability)[0] <= numbers(last)[0]
    return numbers(row.capability) <= numbers(capability) and newest


def _overlaps(bounds: str, row: LibraryRow) -> bool:
    """Whether some version within bounds such as ``>=9.3.0.75,<10`` is one of the row's."""
    upper = next((part for part in bounds.split(",") if part.startswith("<")), "")
    above = bool(row.last) and lowest(bounds) > numbers(row.last or "")
    below = bool(upper) and numbers(row.first) >= numbers(upper.lstrip("<="))
    return not above and not below


@cache
def _compiled_for(capability: str, bounds: str) -> bool:
    """Whether the libraries of some CUDA within the bounds have code for a compute capability."""
    allowed = SpecifierSet(bounds)
    floor = lowest(bounds)[:2]
    here = [
        row
        for row in tables().cuda
        if numbers(row.version) == floor or allowed.contains(f"{row.version}.9999")
    ]
    return not here or any(runs_cubin(capability, one) for row in here for one in row.capabilities)


def cudnn_limit(gpus: Iterable[Gpu]) -> str | None:
    """The last cuDNN that has code for all of these GPUs; None where that is the newest."""
    return _least(cudnn_limit_of(gpu.compute_capability or "") for gpu in gpus)


@cache
def cudnn_limit_of(capability: str) -> str | None:
    """The last cuDNN for a compute capability; None where that is the newest."""
    return _last(capability, tables().cudnn)


def nccl_limit(gpus: Iterable[Gpu], major: int) -> str | None:
    """The last NCCL for this major of CUDA and all of these GPUs; None where it is the newest."""
    rows = tuple(row for row in tables().nccl if major in row.cuda_majors)
    return _least(_last(gpu.compute_capability or "", rows) for gpu in gpus)


def _last(capability: str, rows: Iterable[LibraryRow]) -> str | None:
    serving = [row.last for row in rows if capability and covers(row, capability)]
    return max(map(str, serving), key=numbers) if serving and None not in serving else None


def _least(limits: Iterable[str | None]) -> str | None:
    return min(filter(None, limits), key=numbers, default=None)


def major_of(build: BuildRow) -> int:
    """CUDA's major that the build's wheels bring."""
    return lowest(build.cuda or "0")[0]


def floor_of(build: BuildRow) -> str:
    """The lowest driver that runs the build's CUDA."""
    return driver_floor(major_of(build))


@cache
def driver_floor(major: int) -> str:
    """The lowest driver that runs a CUDA major at all."""
    return next(row.driver for row in tables().cuda_major if row.major == major)


def lowest(bounds: str) -> tuple[int, ...]:
    """The lowest version within bounds such as ``>=12.5.82,<13`` or ``==9.19.0.56``."""
    return numbers(bounds.split(",")[0].lstrip("><=~ "))


def driver_version(site: Site, driver: Driver | None) -> str | None:
    """The version of the driver that is there or will be, None where it is not known."""
    there = site.observed.driver_installed
    if driver:
        return driver.minimum_version
    return str(there["version"]) if isinstance(there, dict) else None
