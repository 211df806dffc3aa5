"""Every driver that could be had on a site, from each source, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gpurig.facts.driver.versions import branch
from gpurig.stack import nvidia
from gpurig.stack.model import Driver, Flavour, Repository
from gpurig.stack.rows import BranchRow, DriverRow, NvidiaPackagesRow
from gpurig.stack.site import Site
from gpurig.stack.tables import tables

# Newest first within a kind; what NVIDIA has ended comes last.
KINDS = ("LTS", "production", "new feature", "legacy")
FOREIGN = ("runfile", "other")  # installed past the packages that gpurig knows: never moved


@dataclass(frozen=True)
class Candidate:
    """
    One driver that could be had.

    + driver: what the stack would hold of it; row: where its figures are from
    + kernel: the series it was tried on, or None
    + installed: whether it is on the host already; obstacle: why it cannot be had, or None
    """

    branch: int
    flavour: Flavour
    driver: Driver
    row: str
    kernel: str | None = None
    installed: bool = False
    obstacle: str | None = None

    @property
    def source(self) -> str:
        """``distribution``, ``nvidia``, ``runfile`` or ``other``."""
        return self.driver.source

    @property
    def version(self) -> str:
        """The version that is had at least."""
        return self.driver.minimum_version

    @property
    def title(self) -> str:
        """How sentences name it: ``550.163.01 open``, ``580 open from NVIDIA``."""
        if self.source == "nvidia":
            return f"{self.branch} {self.flavour} from NVIDIA"
        return f"{self.version} {self.flavour}"


def branch_row(number: int) -> BranchRow | None:
    """The row of a driver branch."""
    return next((row for row in tables().branch if row.number == number), None)


def every_pair() -> list[Candidate]:
    """Each branch in each flavour, wherever from: what no driver at all can do."""
    flavours: tuple[Flavour, ...] = ("open", "proprietary")
    return [
        Candidate(row.number, flavour, _bare(row.number, flavour), row.source)
        for row in tables().branch
        for flavour in flavours
    ]


def candidates(site: Site) -> list[Candidate]:
    """All drivers of the site: the installed one, the distribution's, NVIDIA's."""
    there = site.observed.driver_installed
    found = [*_distribution(site), *_nvidia(site)]
    if not isinstance(there, dict):
        return found
    if there["source"] in FOREIGN:
        return [_kept(site, there)]
    same = (there["source"], branch(there["version"]), there["flavour"])
    for candidate in found:
        if (candidate.source, candidate.branch, candidate.flavour) == same:
            installed = Candidate(**{**vars(candidate), "installed": True})
            return [installed, *(other for other in found if other != candidate)]
    return [_kept(site, there), *found]


def _distribution(site: Site) -> Iterator[Candidate]:
    here = (site.distribution.family, site.distribution.release)
    for row in tables().driver:
        served = site.architecture.machine in row.architectures
        if (row.distribution, row.release) == here and served:
            yield Candidate(row.branch, row.flavour, _packaged(row), row.source, row.kernel)


def _nvidia(site: Site) -> Iterator[Candidate]:
    row = nvidia.repository_row(site)
    if row is None or site.architecture.machine not in row.machines:
        return
    obstacle = nvidia.obstacle(site)
    repository = None if obstacle else nvidia.repository(site)
    for number in sorted(row.branches, key=_rank):
        for named in nvidia.packages_rows(site, number):
            driver = _from_nvidia(number, named, repository, row.modules)
            yield Candidate(number, named.flavour, driver, named.source, obstacle=obstacle)


def _rank(number: int) -> tuple[bool, int, int]:
    row = branch_row(number)
    if row is None:
        return True, len(KINDS), -number
    return row.ended, KINDS.index(row.kind), -number


def _packaged(row: DriverRow) -> Driver:
    return Driver(
        branch=str(row.branch),
        flavour=row.flavour,
        source="distribution",
        packages=tuple(row.packages),
        module=row.module,
        dkms=row.dkms,
        minimum_version=row.version,
        components=tuple(row.components),
        fabric_manager=row.fabric_manager,
    )


def _from_nvidia(
    number: int, row: NvidiaPackagesRow, repository: Repository | None, modules: bool
) -> Driver:
    branch = branch_row(number)

    def named(text: str) -> str:
        return text.format(branch=number)

    return Driver(
        branch=str(number),
        flavour=row.flavour,
        source="nvidia",
        packages=tuple(map(named, row.packages)),
        module=row.module,
        dkms=row.dkms,
        minimum_version=branch.versions[0] if branch and branch.versions else str(number),
        repository=repository,
        pinning=named(row.pinning) if row.pinning else None,
        stream=named(row.stream) if row.stream and modules else None,
        fabric_manager=named(row.fabric_manager),
    )


def _kept(site: Site, there: Any) -> Candidate:
    """An installed driver that no row describes: it stays as it is, if it is lawful."""
    debians = there["source"] == "distribution" and site.distribution.family == "debian"
    module = "nvidia-current" if debians else "nvidia"
    if debians and there["flavour"] == "open":
        module += "-open"
    number = branch(there["version"])
    driver = Driver(
        branch=str(number),
        flavour=there["flavour"],
        source=there["source"],
        packages=(),
        module=module,
        dkms=module,
        minimum_version=there["version"],
        build=there["source"] not in FOREIGN,
    )
    return Candidate(number, there["flavour"], driver, "the host", installed=True)


def _bare(number: int, flavour: Flavour) -> Driver:
    return Driver(str(number), flavour, "nvidia", (), "nvidia", "nvidia", str(number))
