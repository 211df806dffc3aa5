"""The newest release of a framework as a row: made like the one before, of what its wheels say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gpurig.refresh.bounds import active, brought, lowest
from gpurig.refresh.index import Index, Wheel
from gpurig.refresh.reading import UnreadError
from gpurig.stack.rows import BuildRow, ReleaseRow
from gpurig.stack.table_laws import built
from gpurig.stack.tables import merged

_PARTS = 8  # projects that a release is made of; JAX's are six


@dataclass
class Release:
    """A row that was made of an index, and what of it could not be read or is not there."""

    row: ReleaseRow
    notes: list[str] = field(default_factory=list)


def newest(index: Index, framework: str, wanted: SpecifierSet | None = None) -> str | None:
    """
    The newest release of a framework that the index has as wheels, or None.

    + wanted: which releases count; without it all that are final

    UnreadError where the index cannot be read.
    """
    template = _template(framework)
    project = Requirement(template.builds[0].pins[0]).name
    versions = {Version(wheel.version.public) for wheel in index.wheels(project)}
    if wanted is None:
        fitting = {version for version in versions if not version.is_prerelease}
    else:
        fitting = {version for version in versions if wanted.contains(version, prereleases=True)}
    return str(max(fitting)) if fitting else None


def release(index: Index, framework: str, version: str, today: date) -> Release:
    """
    The row of a release, with what its own wheels say, and the rest as the release before has it.

    UnreadError where its wheels say too little; a build whose own index has no such wheel, or
    cannot be read, is left out with a note.
    """
    template = _template(framework, version)
    notes: list[str] = []
    builds: list[BuildRow] = []
    pythons: list[str] = []
    for build in template.builds:
        made = _Build(index, build, version)
        try:
            found = made.rows()
        except UnreadError as error:
            if build.index is None:
                raise
            notes.append(f"{framework} {version}: its build of {build.index} is not read ({error})")
            continue
        if strange := [one.cuda for one in found if one.cuda and not _is_known(one.cuda)]:
            notes.append(
                f"{framework} {version}: its build {made.name} brings CUDA {strange[0]}, and which"
                " driver that needs is in no table"
            )
            continue
        if not found:
            where = build.index or "the index"
            notes.append(f"{framework} {version}: {where} has no build {made.name}")
        builds += found
        if found and not pythons:
            pythons = made.pythons(template.python)
    notes += [f"{framework} {version}: {one}" for one in _unlike(index, template, version)]
    if not builds or not pythons:
        raise UnreadError(f"{framework} {version}: the index has no wheels like those before it")
    unread = f"which GPUs its wheels have code for is as in {template.version}, not read"
    said = f"metadata of the wheels of {framework} {version}, by gpurig tables refresh"
    computes = any(build.capabilities for build in builds)
    row = replace(
        template,
        version=version,
        python=pythons,
        builds=builds,
        source=f"{said}; {unread}" if computes else said,
        date=today,
        doubts=dict.fromkeys(_architectures(), unread) if computes else {},
    )
    try:
        return Release(built(ReleaseRow, asdict(row)), notes)
    except ValueError as error:
        raise UnreadError(
            f"{framework} {version}: its wheels do not fit the tables ({error})"
        ) from error


def _unlike(index: Index, template: ReleaseRow, version: str) -> Iterator[str]:
    """What a release has for CUDA that the one before has not, and no row can be made by."""
    first, *others = (Requirement(build.pins[0]) for build in template.builds)
    known = {extra for pin in (first, *others) for extra in pin.extras}
    has = {p for build in template.builds if build.cuda for p in build.platforms}
    extras: set[str] = set()
    for platform in ("linux-x86_64", "linux-aarch64"):
        wheels = _newest(index.wheels(first.name), SpecifierSet(f"=={version}"), platform)
        if not wheels:
            continue
        extras |= {one for one in wheels[0].extras if re.fullmatch(r"cuda\d\d", one)} - known
        asked = brought(active(wheels[0].requirements, (), platform))
        if "cuda" in asked and platform not in has and not template.bases:
            yield f"its wheels for {platform} have CUDA {asked['cuda']} and those before have none"
    for extra in sorted(extras):
        yield f"it has a build {extra}, which those before have not"


def _is_known(cuda: str) -> bool:
    return lowest(cuda)[0] in {row.major for row in merged().cuda_major}


def _architectures() -> list[str]:
    return sorted({row.architecture for row in merged().gpu})


def _template(framework: str, version: str | None = None) -> ReleaseRow:
    """The newest release of the tables that is older than this one, else the oldest."""
    rows = [row for row in merged().release if row.name == framework]
    older = [row for row in rows if version is None or Version(row.version) < Version(version)]
    return older[0] if older else rows[-1]


@dataclass
class _Build:
    """One build of a release, as the index has it."""

    index: Index
    template: BuildRow
    version: str

    @property
    def name(self) -> str:
        """As a pin: ``jax[cuda13]==0.10.2``."""
        return self._pins()[0]

    def rows(self) -> list[BuildRow]:
        """The build for the platforms for which there is all of it; one row for each CUDA."""
        by_bounds: dict[tuple[str | None, ...], list[str]] = {}
        for platform in self.template.platforms:
            family = self._family(platform)
            if family is None:
                continue
            brought = self._brought(family, platform)
            if brought is not None:
                bounds = tuple(brought.get(column) for column in ("cuda", "cudnn", "nccl"))
                by_bounds.setdefault(bounds, []).append(platform)
        return [
            replace(
                self.template, pins=self._pins(), platforms=platforms,
                cuda=cuda, cudnn=cudnn, nccl=nccl,
            )
            for (cuda, cudnn, nccl), platforms in by_bounds.items()
        ]  # fmt: skip

    def pythons(self, before: Sequence[str]) -> list[str]:
        """The Pythons for which all of it has wheels; of wheels for any Python those of before."""
        families = [family for p in self.template.platforms if (family := self._family(p))]
        bound = [part for family in families for part in family if not _any_python(part)]
        known = before if not bound else [f"3.{minor}" for minor in range(6, 30)]
        return [
            python
            for python in known
            if any(
                all(any(wheel.allows(python) for wheel in part) for part in family)
                for family in families
            )
        ]

    def _pins(self) -> list[str]:
        first, *rest = self.template.pins
        return [f"{first.partition('==')[0]}=={self.version}", *rest]

    def _family(self, platform: str) -> list[list[Wheel]] | None:
        """
        The wheels of the release and of what it is made of, for a platform; None if any is missing.

        JAX's are jaxlib and plugins: whatever begins with its own name.
        """
        own = Requirement(self.name)
        left, found = [own], list[list[Wheel]]()
        seen: set[str] = set()
        while left:
            asked = left.pop()
            if asked.name in seen:
                continue
            seen.add(asked.name)
            if len(seen) > _PARTS:
                raise UnreadError(f"{self.name} is made of more than {_PARTS} projects")
            where = self.template.index if asked is own else None
            wheels = _newest(self.index.wheels(asked.name, where), asked.specifier, platform)
            if not wheels or not asked.extras <= wheels[0].extras:
                return None
            found.append(wheels)
            wanted = active(wheels[0].requirements, asked.extras, platform)
            left += [one for one in wanted if one.name.startswith(own.name) and one.specifier]
        return found

    def _brought(self, family: list[list[Wheel]], platform: str) -> dict[str, str] | None:
        """The bounds on CUDA and its libraries; None for a build for CUDA that brings none."""
        if not self.template.cuda:
            return {}
        extras = Requirement(self.name).extras | {"with-cuda"}
        asked = [one for part in family for one in active(part[0].requirements, extras, platform)]
        bounds = brought(asked)
        return bounds if "cuda" in bounds else None


def _any_python(wheels: Iterable[Wheel]) -> bool:
    return any(wheel.for_any_python for wheel in wheels)


def _newest(wheels: Iterable[Wheel], allowed: SpecifierSet, platform: str) -> list[Wheel]:
    """The wheels of the newest allowed version for a platform; free-threaded ones left out."""
    fitting = [
        wheel
        for wheel in wheels
        if allowed.contains(wheel.version, prereleases=True) and wheel.serves(platform)
        if not all(tag.abi.endswith("t") for tag in wheel.tags)
    ]
    last = max((wheel.version for wheel in fitting), default=None)
    return [wheel for wheel in fitting if wheel.version == last]
