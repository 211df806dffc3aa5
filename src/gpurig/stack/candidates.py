"""Every driver that could be had on a site, from each source, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from gpurig.facts.driver.versions import branch
from gpurig.stack import nvidia, packaging
from gpurig.stack.gpu_ids import knows
from gpurig.stack.kernels import line
from gpurig.stack.model import Driver, Flavour, Kernel, Repository
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
    + line: ``server`` for Ubuntu's packaging for servers, else empty
    + newest: the newest version of it that its source is known to have; empty: like `version`
    + installed: whether it is on the host already; obstacle: why it cannot be had, or None
    """

    branch: int
    flavour: Flavour
    driver: Driver
    row: str
    kernel: str | None = None
    newest: str = ""
    line: str = ""
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
    def latest(self) -> str:
        """The newest version that is known to be had."""
        return self.newest or self.version

    @property
    def title(self) -> str:
        """How sentences name it: ``550.163.01 open``, ``580 open from NVIDIA``."""
        if self.source == "nvidia":
            return f"{self.branch} {self.flavour} from NVIDIA"
        more = [self.line] if self.line else []
        more += [] if self.driver.dkms or not self.driver.packages else ["signed"]
        return f"{self.version} {self.flavour}" + f" ({', '.join(more)})" * bool(more)


def branch_row(number: int) -> BranchRow | None:
    """The row of a driver branch."""
    return next((row for row in tables().branch if row.number == number), None)


def every_pair() -> list[Candidate]:
    """Each branch in each flavour, wherever from: what no driver at all can do."""
    flavours: tuple[Flavour, ...] = ("open", "proprietary")
    return [
        Candidate(
            row.number, flavour, _bare(row.number, flavour), row.source, newest=_whole(row.number)
        )
        for row in tables().branch
        for flavour in flavours
    ]


def candidates(site: Site, boots: Kernel | None = None) -> list[Candidate]:
    """
    All drivers of the site: the installed one, the distribution's, NVIDIA's.

    + boots: the kernel, for which there may be modules that the distribution has signed
    """
    there = site.observed.driver_installed
    found = [*_distribution(site, boots), *_nvidia(site)]
    if not isinstance(there, dict):
        return _usual(site, found)
    if there["source"] in FOREIGN:
        return [_kept(site, there)]
    same = (there["source"], branch(there["version"]), there["flavour"])
    alike = [
        one for one in found if (one.source, one.branch, one.flavour) == same and one.driver.dkms
    ]
    if not alike:
        return [_kept(site, there), *_usual(site, found)]
    row, driver = packaging.kept([one.driver for one in alike], there["packages"])
    installed = replace(alike[row], driver=driver, installed=_serves(site, there))
    return [installed, *(other for other in _usual(site, found) if other != alike[row])]


def _usual(site: Site, found: list[Candidate]) -> list[Candidate]:
    """Those that are offered: the packaging for servers only where a fabric manager needs it."""
    return [one for one in found if not one.line or site.fabric]


def _serves(site: Site, there: Any) -> bool:
    """Whether this release knows every GPU, by NVIDIA's lists or because it drives it here."""
    return all(
        gpu.id in site.driven or knows(gpu.id, there["version"], there["flavour"])
        for gpu in site.kinds
    )


def _distribution(site: Site, boots: Kernel | None) -> Iterator[Candidate]:
    here = (site.distribution.family, site.distribution.release)
    for row in tables().driver:
        served = site.architecture.machine in row.architectures
        if (row.distribution, row.release) == here and served:
            one = Candidate(
                row.branch, row.flavour, _packaged(row, bool(site.nvswitches)), row.source,
                row.kernel, row.newest or "", row.line,
            )  # fmt: skip
            yield from _signed(site, row, one, boots)
            yield one


def _signed(
    site: Site, row: DriverRow, packaged: Candidate, boots: Kernel | None
) -> Iterator[Candidate]:
    """The same by signed modules, where Secure Boot would keep the kernel from dkms's."""
    of = line(boots) if boots else None
    secure = site.observed.secure_boot == "enabled" and not site.assumed
    if not (secure and of and row.flavour in row.signed and site.architecture.debian == "amd64"):
        return
    if driver := packaging.signed_for(packaged.driver, of):
        yield replace(packaged, driver=driver)


def _nvidia(site: Site) -> Iterator[Candidate]:
    row = nvidia.repository_row(site)
    if row is None or site.architecture.machine not in row.machines:
        return
    obstacle = nvidia.obstacle(site)
    repository = None if obstacle else nvidia.repository(site)
    for number in sorted(row.branches, key=_rank):
        for named in nvidia.packages_rows(site, number):
            driver = _from_nvidia(number, named, repository, row.modules)
            yield Candidate(
                number, named.flavour, driver, named.source,
                newest=_newest(number), obstacle=obstacle,
            )  # fmt: skip


def _newest(number: int) -> str:
    """The newest version that is known of a branch."""
    row = branch_row(number)
    return row.versions[-1] if row and row.versions else _whole(number)


def _whole(number: int) -> str:
    """What is newer than every version of a branch."""
    return f"{number}.9999"


def _rank(number: int) -> tuple[bool, int, int]:
    row = branch_row(number)
    if row is None:
        return True, len(KINDS), -number
    return row.ended, KINDS.index(row.kind), -number


def _packaged(row: DriverRow, switches: bool) -> Driver:
    return Driver(
        branch=str(row.branch),
        flavour=row.flavour,
        source="distribution",
        packages=tuple(row.packages),
        module=row.module,
        dkms=row.dkms,
        minimum_version=row.version,
        components=tuple(
            dict.fromkeys([*row.components, *(row.fabric_components if switches else ())])
        ),
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
