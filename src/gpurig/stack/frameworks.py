"""Which releases and builds of a framework could serve a site, and why others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import DEFAULT, folder, frameworks
from gpurig.errors import InputError
from gpurig.settings.table import Settings
from gpurig.stack.gpus import called, row_of, runs_code
from gpurig.stack.model import Accelerator, Driver, Gpu
from gpurig.stack.rows import BuildRow, ReleaseRow
from gpurig.stack.site import Site
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers


@dataclass(frozen=True)
class Option:
    """
    One way to have a framework.

    + row, build: the release and its build; base: the same of what it stands on (Horovod, Keras)
    + python: the version of the environment's interpreter
    """

    row: ReleaseRow
    build: BuildRow
    python: str
    base: ReleaseRow | None = None

    @property
    def pins(self) -> tuple[str, ...]:
        """What wheels are asked for: the base's build, or the release's own."""
        if self.base is None:
            return tuple(self.build.pins)
        own = (
            self.row.builds[0].pins if self.row.builds else [f"{self.row.name}=={self.row.version}"]
        )
        if self.row.sdist_sha256:
            own = own[1:]  # it has no wheel: that is built once its base is there
        return (*own, *self.build.pins)

    @property
    def parts(self) -> list[tuple[ReleaseRow, BuildRow | None]]:
        """The releases that it is made of, with the build of the one that computes."""
        if self.base is None:
            return [(self.row, self.build)]
        return [(self.row, None), (self.base, self.build)]

    @property
    def title(self) -> str:
        """How sentences name what computes."""
        return f"{self.computing.name} {self.computing.version}"

    @property
    def computing(self) -> ReleaseRow:
        """The release whose wheels compute."""
        return self.base or self.row


def wishes(site: Site) -> list[Requirement]:
    """The frameworks of the site, in an order that does not depend on how they were given."""
    given = (DEFAULT,) if site.settings.frameworks is None else site.settings.frameworks
    order = list(frameworks())
    return sorted(map(parsed, given), key=lambda wish: order.index(wish.name.lower()))


@cache
def parsed(wish: str) -> Requirement:
    """A requirement such as ``tensorflow>=2.20``."""
    return Requirement(wish)


def refuse_unknown_releases(settings: Settings, where: str) -> None:
    """InputError for a release that no row of the tables has; no host need be asked for that."""
    for wish in map(parsed, settings.frameworks or ()):
        if not releases(wish):
            known = [row.version for row in tables().release if row.name == wish.name.lower()]
            raise InputError(
                "release-unknown",
                f"rig_frameworks asks for {wish}; gpurig's tables have {', '.join(known)}",
                where,
                "ask for one of these versions, or leave the version out",
            )


def cpu_bases(framework: str) -> set[str]:
    """The bases of which only the builds for the CPU serve a framework."""
    return {base for row in tables().release if row.name == framework for base in row.cpu_bases}


def releases(wish: Requirement) -> list[ReleaseRow]:
    """The releases of the tables that the wish allows, newest first."""
    return _releases(wish.name.lower(), str(wish.specifier))


@cache
def _releases(name: str, bounds: str) -> list[ReleaseRow]:
    allowed = SpecifierSet(bounds)
    rows = [row for row in tables().release if row.name == name]
    return [row for row in rows if allowed.contains(row.version, prereleases=True)]


def pythons(site: Site) -> list[str]:
    """The interpreters that environments can have, the usual one first."""
    found = site.observed.pythons if isinstance(site.observed.pythons, list) else []
    there = [".".join(one["version"].split(".")[:2]) for one in found]
    every = list(dict.fromkeys([*there, *site.distribution.pythons]))
    wish = site.settings.python
    if wish == "auto":
        return every
    return [wish] if wish in every or python_mirror(site) else []


def python_mirror(site: Site) -> str | None:
    """Where Pythons are that the distribution does not bring, or None."""
    return site.settings.repositories.get("python", {}).get("url")


def options(site: Site, wish: Requirement) -> tuple[Option, ...]:
    """
    Every way to have it here, whatever it computes on, the best first.

    What is installed before anything else, what a lock is kept of before what is only newer. Then
    the usual Python before another, the usual index before one of the framework's own, a newer
    release before an older one.
    """
    found = _options(str(wish), tuple(pythons(site)), site.platform)
    held = {id(option): holding(site, option) for option in found}
    if not any(held.values()):
        return found
    return tuple(sorted(found, key=lambda option: _HOLDING.index(held[id(option)])))


_HOLDING = ("it is installed", "gpurig keeps a lock of it", "")  # the strongest first


def holding(site: Site, option: Option) -> str:
    """Why an option comes before a newer one, or nothing."""
    there = site.observed.frameworks
    installed = there.get(option.row.name, {}) if isinstance(there, dict) else {}
    if installed and all(_is(installed, row, build) for row, build in option.parts):
        return _HOLDING[0]
    stem = lock_stem(option, site.platform)
    return _HOLDING[1] if any(key.startswith(stem) for key in site.kept) else ""


def _is(installed: Mapping[str, str], row: ReleaseRow, build: BuildRow | None) -> bool:
    """Whether a release is among what is installed; a build's own part of the version aside."""
    wheel = Requirement((build or row.builds[0]).pins[0]).name
    return installed.get(folder(wheel), "").partition("+")[0] == row.version


def lock_stem(option: Option, platform: str) -> str:
    """What the keys of all locks of an option begin with."""
    row, base = option.row, option.base
    on = f"-{base.name}-{base.version}" if base else ""
    return f"{row.name}-{row.version}{on}-py{option.python}-{platform.partition('-')[2]}-"


def gigabytes(framework: str, accelerator: Accelerator) -> float:
    """The room that a build of a framework takes; that for the CPU where no other is known."""
    sizes = {
        row.accelerator: row.gigabytes
        for row in tables().environment_size
        if row.framework == framework
    }
    return sizes.get(accelerator, sizes["cpu"])


@cache
def _options(wish: str, pythons: tuple[str, ...], platform: str) -> tuple[Option, ...]:
    found: list[Option] = []
    for python in pythons:
        usual = _options_of(parsed(wish), python, platform)
        found += sorted(usual, key=lambda option: option.build.index is not None)
    return tuple(found)


def _options_of(wish: Requirement, python: str, platform: str) -> Iterator[Option]:
    for row in releases(wish):
        if python not in row.python:
            continue
        if not row.bases:
            yield from (Option(row, b, python) for b in row.builds if platform in b.platforms)
        here = not row.builds or any(platform in build.platforms for build in row.builds)
        for base in _bases(row, wish) if row.bases and here else []:
            if python in base.python:
                for build in base.builds:
                    serves = build.accelerator == "cpu" or base.name not in row.cpu_bases
                    if serves and platform in build.platforms:
                        yield Option(row, build, python, base)


def _bases(row: ReleaseRow, wish: Requirement) -> list[ReleaseRow]:
    name = next(iter(sorted(wish.extras)), next(iter(row.bases)))
    return _releases(name, row.bases[name]) if name in row.bases else []


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
    """Why the option's wheels have no code for this GPU, or None if they have."""
    if row_of(gpu.id) is None or gpu.compute_capability is None:
        # Never guessed: only whoever knows the GPU can ask for CUDA.
        wished = site.settings.accelerator == "cuda"
        return None if wished else f"GPU {gpu.id} is not in gpurig's tables"
    name = option.title
    if not runs_code(gpu.compute_capability, option.build.capabilities):
        return f"{called(gpu)}: {name} has no code for compute capability {gpu.compute_capability}"
    limit = cudnn_limit([gpu])
    if limit and option.build.cudnn and _lowest(option.build.cudnn) > numbers(limit):
        return f"{called(gpu)}: {name} needs a cuDNN newer than {limit}, the last for this GPU"
    return None


def cudnn_limit(gpus: Iterable[Gpu]) -> str | None:
    """The last cuDNN that has code for all of these GPUs; None where that is the newest."""
    capabilities = {gpu.compute_capability for gpu in gpus if gpu.compute_capability}
    limits = [limit for capability in capabilities if (limit := _cudnn_limit(capability))]
    return min(limits, key=numbers) if limits else None


@cache
def _cudnn_limit(capability: str) -> str | None:
    serving = [row for row in tables().cudnn if numbers(row.capability) <= numbers(capability)]
    lasts = [row.last for row in serving if row.last]
    return max(lasts, key=numbers) if lasts and len(lasts) == len(serving) else None


def major_of(build: BuildRow) -> int:
    """CUDA's major that the build's wheels bring."""
    return _lowest(build.cuda or "0")[0]


def floor_of(build: BuildRow) -> str:
    """The lowest driver that runs the build's CUDA."""
    return driver_floor(major_of(build))


@cache
def driver_floor(major: int) -> str:
    """The lowest driver that runs a CUDA major at all."""
    return next(row.driver for row in tables().cuda_major if row.major == major)


def _lowest(bounds: str) -> tuple[int, ...]:
    """The lowest version within bounds such as ``>=12.5.82,<13`` or ``==9.19.0.56``."""
    return numbers(bounds.split(",")[0].lstrip("><=~ "))


def driver_version(site: Site, driver: Driver | None) -> str | None:
    """The version of the driver that is there or will be, None where it is not known."""
    there = site.observed.driver_installed
    if driver:
        return driver.minimum_version
    return str(there["version"]) if isinstance(there, dict) else None
