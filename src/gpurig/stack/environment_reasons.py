"""Why an environment is as it is: what was taken, what was not, and what is in doubt."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.stack.bundled import without_nccl
from gpurig.stack.frameworks import (
    Option,
    holding,
    options,
    parsed,
    pythons,
    releases,
    wishes,
)
from gpurig.stack.gpus import called, row_of, runs_as_it_is
from gpurig.stack.model import Accelerator, Driver
from gpurig.stack.serving import driver_version, floor_of, obstacle, unserved_by
from gpurig.stack.site import Draft, Site
from gpurig.stack.versions import numbers


def explain(
    site: Site, draft: Draft, option: Option, accelerator: Accelerator, driver: Driver | None
) -> None:
    """Note the choices of one environment in the draft, and warn of what may not compute."""
    _note_releases(site, draft, option, accelerator, driver)
    row = option.row
    choice = f"{row.name} computes on {accelerator}"
    draft.chose(choice, *_why_accelerator(site, option, accelerator, driver))
    if accelerator == "cpu" and option.build.accelerator == "cuda":
        draft.warn(
            f"{row.name} has only CUDA wheels here; they bring gigabytes"
            " that this host does not use"
        )
    if accelerator == "cuda":
        _warn_of_gpus(site, draft, option)
    if accelerator == "cuda" and not (driver or site.inside or driver_version(site, driver)):
        floor = floor_of(option.build)
        draft.warn(f"no driver is installed; {row.name} needs {floor} or newer to use the GPU")


def _note_releases(
    site: Site, draft: Draft, option: Option, accelerator: Accelerator, driver: Driver | None
) -> None:
    """Which release was taken, why no newer one was, and what it stands on."""
    row = option.row
    held = holding(site, option)
    newest = f"the newest in gpurig's tables for Python {option.python}, {site.platform}"
    known = [release.version for release in releases(parsed(row.name))]
    rejected: dict[str, list[str]] = {}
    for version in known[: known.index(row.version)]:
        newer = held and options(site, parsed(f"{row.name}=={version}"))
        why = f"not taken, because {held} (--upgrade takes it)"
        reason = why if newer else _rejection(site, row.name, version, driver)
        rejected.setdefault(reason, []).append(version)
    whys = [f"{_versions(some)}: {why}" for why, some in rejected.items()]
    on = held or f"{newest} and {accelerator}"
    draft.chose(f"{row.name} {row.version}", on, row.source, whys)
    if option.base:
        reason = f"{row.name} {row.version} runs on it"
        draft.chose(f"{option.base.name} {option.base.version}", reason, option.base.source)


def _warn_of_gpus(site: Site, draft: Draft, option: Option) -> None:
    """Of the GPUs on which a CUDA build does not compute, or may not."""
    computing = option.computing
    build = f"{computing.name} {computing.version}"
    for gpu in site.kinds:
        if why := unserved_by(site, gpu, option):
            draft.warn(f"{option.row.name} does not compute on {gpu.id}: {why}")
    for gpu in site.kinds:
        its_row, made = row_of(gpu.id), _newest(option.build.cuda)
        if its_row and made and numbers(its_row.cuda_first) > made:
            draft.warn(
                f"{build} is built with CUDA {option.build.cuda}, and {called(gpu)} needs CUDA"
                f" {its_row.cuda_first}: it may not compute"
            )
    _warn_of_code(site, draft, option)
    for architecture in sorted({gpu.architecture or "" for gpu in site.gpus}):
        if doubt := computing.doubts.get(architecture):
            draft.warn(f"{build}: {doubt}")


def _warn_of_code(site: Site, draft: Draft, option: Option) -> None:
    """Of GPUs that compile at first use, and of those that do not compute together."""
    build = option.title
    for gpu in site.kinds:
        served = gpu.compute_capability and unserved_by(site, gpu, option) is None
        if served and not runs_as_it_is(gpu.compute_capability or "", option.build):
            draft.warn(
                f"{build} has no cubin for {called(gpu)}, which compiles its PTX for"
                f" {option.build.ptx[-1]} at first use: the first start takes longer"
            )
    if len(site.gpus) > 1 and (limit := without_nccl(site, option)):
        draft.warn(
            f"{build} needs an NCCL newer than {limit}, the last for these GPUs:"
            " it computes on one of them at a time"
        )


def _newest(bounds: str | None) -> tuple[int, ...]:
    """The version that bounds such as ``>=12.5.82,<13`` stay below, as one that is within."""
    upper = next((b for b in (bounds or "").split(",") if b.startswith("<")), "")
    found = numbers(upper.lstrip("<="))
    return (*found[:-1], found[-1] - 1, 999) if found else ()


def _versions(some: Sequence[str]) -> str:
    """Several versions, newest first, in few words."""
    return ", ".join(some) if len(some) < 4 else f"{some[-1]} to {some[0]}"


def _rejection(site: Site, name: str, version: str, driver: Driver | None) -> str:
    """Why a newer version was not taken."""
    wish = next(w for w in wishes(site) if w.name.lower() == name)
    if not wish.specifier.contains(version, prereleases=True):
        return f"rig_frameworks asks for {wish}"
    every = options(site, parsed(f"{name}=={version}"))
    if not every:
        return f"no wheels for Python {' or '.join(pythons(site))} on {site.platform}"
    version_there = driver_version(site, driver)
    whys = ((obstacle(site, other, version_there), other.title) for other in every)
    why = next((why.replace(title, name) for why, title in whys if why), None)
    elsewhere = ", ".join(dict.fromkeys(o.build.index for o in every if o.build.index))
    also = f"; its other wheels are only on {elsewhere}" if elsewhere else ""
    return f"{why or 'would also work; the chosen one is preferred'}{also}"


def _why_accelerator(
    site: Site, option: Option, accelerator: Accelerator, driver: Driver | None
) -> tuple[str, str, list[str]]:
    source = option.computing.source
    if accelerator == "cuda":
        wished = 'rig_accelerator is "cuda"'
        reason = wished if site.settings.accelerator == "cuda" else "its wheels support the GPU"
        return reason, source, ["cpu: the host has a GPU"]
    if accelerator != "cpu":
        row = next(row for row in site.others if row.accelerator == accelerator)
        return f"the host has {row.name}", row.source, ["cpu: slower"]
    if site.settings.accelerator == "cpu":
        return 'rig_accelerator is "cpu"', "settings", []
    if not site.gpus:
        return site.no_gpu, source, [f"cuda: {site.no_gpu}"]
    why = _why_not_cuda(site, option, driver_version(site, driver))
    return why, source, [f"cuda: {why}"]


def _why_not_cuda(site: Site, option: Option, driver: str | None) -> str:
    """What keeps its CUDA builds off the GPU; where it has none here, that."""
    wish = next(wish for wish in wishes(site) if wish.name.lower() == option.row.name)
    on_cuda = [other for other in options(site, wish) if other.build.accelerator == "cuda"]
    return obstacle(site, on_cuda[0] if on_cuda else option, driver) or "no build supports the GPU"
