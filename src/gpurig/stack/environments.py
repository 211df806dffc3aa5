"""The Python environments: framework, Python, what they compute on, and what is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.requirements import Requirement

from gpurig.stack.builds import refuse_unbuildable
from gpurig.stack.bundled import bundled_cuda, bundled_cudnn, limits
from gpurig.stack.candidates import Candidate
from gpurig.stack.default import NAMED, settled
from gpurig.stack.demands import Demand
from gpurig.stack.drivers import use_some
from gpurig.stack.environment_reasons import explain
from gpurig.stack.frameworks import (
    Option,
    gigabytes,
    lock_stem,
    options,
    parsed,
    python_mirror,
    pythons,
    releases,
    wishes,
)
from gpurig.stack.model import Accelerator, Cuda, Cudnn, Driver, Environment, WayOut
from gpurig.stack.rows import BuildRow, ReleaseRow
from gpurig.stack.serving import (
    driver_version,
    floor_of,
    gpu_obstacle,
    major_of,
    obstacle,
    unserved_by,
)
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

Environments = tuple[tuple[Environment, ...], Cuda | None, Cudnn | None]


def of_frameworks(site: Site, draft: Draft) -> list[Demand]:
    """What each wished framework demands of the driver: that it computes on the GPU."""
    if not draft.wants("environments") or site.settings.accelerator == "cpu" or not site.gpus:
        return []
    must = site.settings.accelerator == "cuda"
    site = settled(site)
    return [_computes(site, wish, must) for wish in wishes(site) if releases(wish)]


def _computes(site: Site, wish: Requirement, must: bool) -> Demand:
    found = options(site, wish)
    whys = [gpu_obstacle(site, option) for option in found]
    served = [option for option, why in zip(found, whys, strict=True) if why is None]
    floors = [numbers(floor_of(option.build)) for option in served]
    first = next(filter(None, whys), "")
    if must and found and not served:
        drop = WayOut("remove rig_accelerator", f"{wish.name} computes on the CPU")
        refuse([f'rig_accelerator = "cuda" with {wish}', first], drop)

    def against(c: Candidate) -> str | None:
        if not served or any(floor <= numbers(c.version) for floor in floors):
            return None  # without any option for the GPU the driver is not what is in the way
        why = obstacle(site, served[0], c.version)
        return f"no {wish} computes with it ({why})"

    drop = WayOut("remove rig_accelerator", f"{wish.name} may compute on the CPU")
    return Demand(f'{wish} and rig_accelerator = "cuda"', against, drop, soft=not must)


def environments(site: Site, draft: Draft, driver: Driver | None) -> Environments:
    """The environments with their CUDA and cuDNN; none with the reason in the draft."""
    if not draft.wants("environments"):
        draft.unwanted("environments")
        return (), None, None
    if site.settings.frameworks == ():
        draft.leave_out("environments", "rig_frameworks is empty")
        return (), None, None
    _check_python(site)
    site = settled(site, driver_version(site, driver))
    if site.default:
        draft.because.append(site.default)
    chosen = [
        option
        for wish in wishes(site)
        if (option := _chosen(site, draft, wish, driver_version(site, driver)))
    ]
    for python in dict.fromkeys(option.python for option in chosen):
        names = [o.row.name for o in chosen if o.python == python]
        why = _why_python(site, python, names) + site.distribution.doubt("pythons")
        draft.chose(f"Python {python}", why, site.distribution.source)
    found = [_environment(site, draft, option, driver) for option in chosen]
    if chosen and not any(environment.accelerator == "cuda" for environment in found):
        draft.leave_out("cuda", _why_no_cuda(site))
    _others(site, draft, found)
    on_gpu = [o for o, e in zip(chosen, found, strict=True) if e.accelerator == "cuda"]
    return tuple(found), bundled_cuda(draft, on_gpu), bundled_cudnn(site, draft, on_gpu)


def _why_python(site: Site, python: str, names: Sequence[str]) -> str:
    """Why these frameworks have this Python."""
    if site.settings.python != "auto":
        return "rig_python asks for it"
    usual = pythons(site)[0]
    if python == usual:
        return "it is the default here"
    return f"the newest release of {' and '.join(names)} here has wheels for it, not for {usual}"


def environment(site: Site, draft: Draft, name: str, driver: Driver | None) -> Environment | None:
    """An environment of this framework as the site would have it, or None without wheels for it."""
    wish = next((wish for wish in wishes(site) if wish.name.lower() == name), parsed(name))
    site = replace(site, settings=replace(site.settings, frameworks=(str(wish),)))
    _check_python(site)
    if not options(site, wish):
        return None
    option = _chosen(site, draft, wish, driver_version(site, driver))
    return _environment(site, draft, option, driver) if option else None


def _check_python(site: Site) -> None:
    wish = site.settings.python
    if not pythons(site):
        brings = " and ".join(site.distribution.pythons)
        drop = WayOut("remove rig_python", f"the environments get Python {brings.split()[0]}")
        what = [f'rig_python = "{wish}"', f"{site.distribution.name} has Python {brings}"]
        refuse(what, drop, mirrored_python())


def mirrored_python() -> WayOut:
    """Where a Python comes from that the distribution lacks."""
    change = "set a mirror of python-build-standalone in rig_repositories (python)"
    return WayOut(change, "uv installs that Python from there")


def _chosen(site: Site, draft: Draft, wish: Requirement, driver: str | None) -> Option | None:
    """The best option: one that computes on what is there, else one on the CPU."""
    refuse_unbuildable(site, wish)
    found = options(site, wish)
    if site.settings.accelerator == "cuda" and not site.gpus:
        drop = WayOut("remove rig_accelerator", f"{wish.name} computes on the CPU")
        refuse(['rig_accelerator = "cuda"', site.no_gpu], drop)
    if not found:
        _without_option(site, draft, wish)
        return None
    special = _special(site, wish.name.lower(), found)
    on_cpu = next((o for o in found if o.build.accelerator == "cpu"), found[0])
    if special or site.settings.accelerator == "cpu" or not site.gpus:
        return special or on_cpu
    serving = [o for o in found if obstacle(site, o, driver) is None]
    whole = (o for o in serving if not any(unserved_by(site, gpu, o) for gpu in site.kinds))
    computing = next(whole, next(iter(serving), None))
    if computing is None and site.settings.accelerator == "cuda":
        why = obstacle(site, found[0], driver) or ""
        drop = WayOut("remove rig_accelerator", f"{wish.name} computes on the CPU")
        some = use_some(site) if len(site.kinds) > 1 else []
        refuse([f'rig_accelerator = "cuda" with {wish}', why], *some, drop)
    if computing is None and len(site.kinds) > 1 and use_some(site):
        draft.warn(
            f"{wish.name} computes on the CPU, because of the driver that all GPUs of this host"
            " share; set rig_gpus to the GPUs that should compute"
        )
    return computing or on_cpu


def _special(site: Site, name: str, found: Sequence[Option]) -> Option | None:
    """An option for a TPU or for Apple's GPU, where there is one and no NVIDIA GPU."""
    kinds = {row.accelerator for row in site.others if row.framework == name}
    if site.gpus or site.settings.accelerator == "cpu":
        return None
    return next((option for option in found if option.build.accelerator in kinds), None)


def _without_option(site: Site, draft: Draft, wish: Requirement) -> None:
    """Nobody wished for a default: it is left out; a wish is refused, with what would do."""
    known = [row.version for row in tables().release if row.name == wish.name.lower()]
    place = f"Python {' and '.join(pythons(site))} on {site.platform}"
    if not releases(wish):
        drop = WayOut(
            f'set rig_frameworks = ["{wish.name}"]', f"gpurig takes one of {', '.join(known)}"
        )
        read = WayOut("set rig_untested = true", "gpurig knows only what the index says of it")
        refuse(
            [f"{wish} in rig_frameworks", f"gpurig's tables have {wish.name} {', '.join(known)}"],
            drop,
            read,
        )
    with_wheels = sorted(
        {p for row in releases(wish) for p in _pythons_here(site, row)}, key=_minor
    )
    built = any(row.bases for row in releases(wish))  # as Horovod is
    what = "its framework" if built else "it"
    has = (
        f"{what} has wheels for Python {', '.join(with_wheels)}"
        if with_wheels
        else f"{what} has wheels for no Python"
    )
    why = f"it has no wheels for {place} ({has})"
    if site.default and site.settings.accelerator != "cuda":
        why = f"none of {NAMED} has wheels for {place}"
        draft.leave_out("environments", f"rig_frameworks is not set, and {why}")
        return
    ways = [WayOut(f"remove {wish.name} from rig_frameworks", "gpurig makes no environment for it")]
    if with_wheels and "python" not in site.settings.repositories:
        ways.insert(0, mirrored_python())
    if any(p in with_wheels for p in site.distribution.pythons) and site.settings.python != "auto":
        ways.insert(0, WayOut("remove rig_python", "gpurig takes another Python"))
    if wish.specifier and (newest := options(site, parsed(wish.name))):
        change = f'set rig_frameworks = ["{wish.name}"]'
        ways.insert(0, WayOut(change, f"gpurig takes {wish.name} {newest[0].row.version}"))
    refuse([f"{wish} in rig_frameworks", why], *ways)


def _pythons_here(site: Site, row: ReleaseRow) -> list[str]:
    """The Pythons for which this release, or any that it stands on, has wheels on the platform."""
    builds = row.builds if row.builds or not row.bases else []
    here = any(site.platform in build.platforms for build in builds) or bool(row.bases)
    return row.python if here else []


def _minor(python: str) -> int:
    return int(python.rpartition(".")[2])


def _environment(site: Site, draft: Draft, option: Option, driver: Driver | None) -> Environment:
    accelerator = _accelerator(site, option, driver_version(site, driver))
    row, build = option.row, option.build
    explain(site, draft, option, accelerator, driver)
    pins = [*option.pins, *option.computing.workload_pins]
    lock = lock_stem(option, site.platform) + accelerator + _which_cuda(option, site.platform)
    if build.index:
        lock += f"-{build.index.rstrip('/').rpartition('/')[2]}"  # other wheels, so another lock
    for library, wheel, limit in limits(site, option) if accelerator == "cuda" else ():
        pins.append(f"{wheel}<={limit}")
        lock += f"-{library}{limit}"
    if site.settings.jupyter:  # the kernel is a package like the others, so another lock
        pins.append("ipykernel")
        lock += "-jupyter"
    return Environment(
        name=row.name,
        framework=row.name,
        base=option.base.name if option.base else None,
        version=row.version,
        python=option.python,
        accelerator=accelerator,
        pins=tuple(pins),
        lock=lock,
        index=_index(site, build),
        gigabytes=gigabytes(option.computing.name, build.accelerator),
        python_mirror=_python_from(site, option.python),
        python_package=_python_package(site, option.python),
    )


def _which_cuda(option: Option, platform: str) -> str:
    """The major of CUDA where the usual index has builds for several, which need a lock each."""
    build = option.build
    usual = [b for b in option.computing.builds if platform in b.platforms and b.index is None]
    several = len([b for b in usual if b.accelerator == "cuda"]) > 1
    return str(major_of(build)) if build.accelerator == "cuda" and several else ""


def _index(site: Site, build: BuildRow) -> str | None:
    """The build's own index, or the same below the mirror that rig_repositories names."""
    mirror = site.settings.repositories.get("pytorch", {}).get("url")
    if build.index is None or mirror is None:
        return build.index
    return f"{mirror}/{build.index.rpartition('/')[2]}"


def _python_from(site: Site, python: str) -> str | None:
    own = replace(site, settings=replace(site.settings, python="auto"))
    return None if python in pythons(own) else python_mirror(site)


def _python_package(site: Site, python: str) -> str | None:
    return f"python{python}" if python in site.distribution.pythons[1:] else None


def _accelerator(site: Site, option: Option, driver: str | None) -> Accelerator:
    if option.build.accelerator != "cuda":
        return option.build.accelerator
    if site.settings.accelerator == "cpu" or not site.gpus or obstacle(site, option, driver):
        return "cpu"
    return "cuda"


def _why_no_cuda(site: Site) -> str:
    if site.settings.accelerator == "cpu":
        return 'rig_accelerator is "cpu"'
    return "no environment computes on an NVIDIA GPU" if site.gpus else site.no_gpu


def _others(site: Site, draft: Draft, found: list[Environment]) -> None:
    """Name what would compute on an accelerator that is there and that nobody asked for."""
    for row in site.others:
        if not any(environment.accelerator == row.accelerator for environment in found):
            draft.warn(
                f"nothing computes on the {row.name}; {row.framework} would"
                f' (rig_frameworks = ["{row.framework}"])'
            )
