"""CUDA, cuDNN and NCCL that wheels bring, within the bounds that the host's GPUs set."""

from __future__ import annotations

from collections.abc import Iterator

from gpurig.stack.frameworks import Option
from gpurig.stack.model import Cuda, Cudnn, Gpu
from gpurig.stack.serving import cudnn_limit, lowest, major_of, nccl_limit, unserved_by
from gpurig.stack.site import Draft, Site
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

NCCL = "nvidia-nccl-cu{major}"


def limits(site: Site, option: Option) -> Iterator[tuple[str, str, str]]:
    """
    What is not to be newer than the oldest GPU allows: ``("cudnn", "nvidia-cudnn-cu12", "9.10")``.

    An NCCL that the framework needs newer than that is no limit: one GPU computes without it.
    """
    gpus, build, major = served(site, option), option.build, major_of(option.build)
    limit = cudnn_limit(gpus)
    if limit and build.cudnn and not build.cudnn.startswith("=="):
        (row,) = tables().cudnn_packages
        yield "cudnn", row.wheel.format(major=major), limit
    limit = nccl_limit(gpus, major)
    if limit and _leaves_open(build.nccl, limit):
        yield "nccl", NCCL.format(major=major), limit


def _leaves_open(bounds: str | None, limit: str) -> bool:
    """Whether bounds allow this version, and a newer one as well."""
    upper = next((part for part in (bounds or "").split(",") if part.startswith("<")), "")
    newer = numbers(limit) < numbers(upper.lstrip("<="))
    return bool(bounds) and newer and lowest(bounds or "") <= numbers(limit)


def without_nccl(site: Site, option: Option) -> str | None:
    """The last NCCL of its GPUs, where the framework needs a newer one; else None."""
    limit = nccl_limit(served(site, option), major_of(option.build))
    asked = option.build.nccl
    return limit if limit and asked and lowest(asked) > numbers(limit) else None


def served(site: Site, option: Option) -> list[Gpu]:
    """The GPUs that the option computes on."""
    return [gpu for gpu in site.kinds if unserved_by(site, gpu, option) is None]


def bundled_cuda(draft: Draft, on_gpu: list[Option]) -> Cuda | None:
    """The CUDA of the environments that compute on the GPU."""
    if not on_gpu:
        return None
    bounds = list(dict.fromkeys(option.build.cuda or "" for option in on_gpu))
    names = ", ".join(option.title for option in on_gpu)
    source = "; ".join(dict.fromkeys(option.computing.source for option in on_gpu))
    draft.chose(f"CUDA {' and '.join(bounds)}", f"the wheels that {names} needs", source)
    return Cuda(" and ".join(bounds), "wheels")


def bundled_cudnn(site: Site, draft: Draft, on_gpu: list[Option]) -> Cudnn | None:
    """The cuDNN of the environments that compute on the GPU."""
    on_gpu = [option for option in on_gpu if option.build.cudnn]
    bounds = list(dict.fromkeys(option.build.cudnn or "" for option in on_gpu))
    if not bounds:
        return None
    names = ", ".join(option.title for option in on_gpu)
    found = [limit for option in on_gpu if (limit := cudnn_limit(served(site, option)))]
    reason, limit = f"the wheels that {names} needs", min(found, key=numbers, default=None)
    source = "; ".join(dict.fromkeys(option.computing.source for option in on_gpu))
    if limit:
        reason = f"{limit} is the last for the oldest GPU"
        source = next(row.source for row in tables().cudnn if row.last == limit)
    draft.chose(f"cuDNN {' and '.join(bounds)}", reason, source)
    return Cudnn(" and ".join(bounds), limit)
