"""Which releases and builds of a framework a site could have, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import folder, frameworks
from gpurig.errors import InputError
from gpurig.settings.table import Settings
from gpurig.stack.model import Accelerator
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
    order = list(frameworks())
    given = map(parsed, site.settings.frameworks or ())
    return sorted(given, key=lambda wish: order.index(wish.name.lower()))


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
                "ask for one of these versions, leave the version out, or set rig_untested = true",
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
    the usual index before one of the framework's own, a newer release before an older one, the
    usual Python before another. Pythons that uv brings from a mirror come after all others.
    """
    found = _options(str(wish), tuple(pythons(site)), site.platform)
    if not found and site.settings.python == "auto" and python_mirror(site):
        found = _options(str(wish), _every_python(), site.platform)
    held = {id(option): holding(site, option) for option in found}
    if not any(held.values()):
        return found
    return tuple(sorted(found, key=lambda option: _HOLDING.index(held[id(option)])))


@cache
def _every_python() -> tuple[str, ...]:
    """The Pythons that some framework has wheels for, the newest first."""
    every = {python for row in tables().release for python in row.python}
    return tuple(sorted(every, key=numbers, reverse=True))


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
    found = list(_options_of(parsed(wish), pythons, platform))
    return tuple(sorted(found, key=lambda option: option.build.index is not None))


def _options_of(wish: Requirement, pythons: tuple[str, ...], platform: str) -> Iterator[Option]:
    for row in releases(wish):
        mine = [python for python in pythons if python in row.python]
        if not row.bases:
            here = [build for build in row.builds if platform in build.platforms]
            yield from (Option(row, build, python) for python in mine for build in here)
        elif not row.builds or any(platform in build.platforms for build in row.builds):
            yield from _options_on_bases(row, wish, mine, platform)


def _options_on_bases(
    row: ReleaseRow, wish: Requirement, pythons: list[str], platform: str
) -> Iterator[Option]:
    for base in _bases(row, wish):
        for python in (python for python in pythons if python in base.python):
            for build in base.builds:
                serves = build.accelerator == "cpu" or base.name not in row.cpu_bases
                if serves and platform in build.platforms:
                    yield Option(row, build, python, base)


def _bases(row: ReleaseRow, wish: Requirement) -> list[ReleaseRow]:
    name = next(iter(sorted(wish.extras)), next(iter(row.bases)))
    return _releases(name, row.bases[name]) if name in row.bases else []
