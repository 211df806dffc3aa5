"""Which drivers the distributions and NVIDIA have now, as rows, of their signed indexes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from gpurig.facts.driver.versions import branch, upstream
from gpurig.refresh.apt import Suite, versions
from gpurig.refresh.found import Found
from gpurig.refresh.reading import UnreadError
from gpurig.stack.rows import BranchRow, DriverRow, NvidiaRepositoryRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

_MACHINE = "x86_64"
# Packages of NVIDIA's repositories that have the version and the name of a driver.
_OF_DRIVER = re.compile(r"(nvidia-driver|nvidia-open|cuda-drivers)(-\d{3})?")
_BY = "signed index, by gpurig tables refresh"


Roots = Mapping[tuple[str, str], str]


def of_distributions(found: Found, roots: Roots, today: date) -> None:
    """
    The driver rows whose distribution has another version now.

    + roots: of the archives that are configured, by family and by the ending of their suites:
      ``("debian", "")``, ``("debian", "-security")``
    """
    by_release: dict[tuple[str, str], list[DriverRow]] = {}
    for row in tables().driver:
        by_release.setdefault((row.distribution, row.release), []).append(row)
    for (family, release), rows in by_release.items():
        here = next(d for d in tables().distribution if (d.family, d.release) == (family, release))
        if (family, "") not in roots:
            where = "this machine names no archive of it; set rig_apt_mirror to one"
            found.unread.append(f"drivers of {here.name}: {where}")
            continue
        components = sorted({component for row in rows for component in row.components})
        try:
            own, later = _archive(family, here.codename, components, roots)
        except UnreadError as error:
            found.unread.append(f"drivers of {here.name}: {error}")
            continue
        for row in rows:
            had = (_newest(own, row.packages[0]), _newest(later, row.packages[0]))
            _driver(found, row, here.name, *had, today)


def roots(mirror: str | None) -> dict[tuple[str, str], str]:
    """
    The roots of each family's archives: of those that apt on this machine has, and the mirror.

    + mirror: rig_apt_mirror; its path says of which family it is
    """
    families = [row.family for row in tables().archive]
    found: dict[tuple[str, str], str] = {}
    for line in _targets().splitlines():
        origin, root, codename = (*line.split("|"), "", "")[:3]
        for row in tables().distribution:
            ending = codename.removeprefix(row.codename)
            ours = (
                origin == row.origin
                and row.family in families
                and codename.startswith(row.codename)
            )
            if ours and row.codename and ending in ("", "-security"):
                found.setdefault((row.family, ending), root.rstrip("/"))
    if mirror:
        found |= {(family, ""): mirror.rstrip("/") for family in families if family in mirror}
    return found


def _targets() -> str:
    """The indexes that apt has, a line each; empty without apt."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(CODENAME)"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


Packages = Mapping[str, set[str]]


def _archive(
    family: str, codename: str, components: Sequence[str], roots: Roots
) -> tuple[Packages, list[Packages]]:
    """What the release itself has, and what each of its suites of updates has; no backports."""
    row = next(one for one in tables().archive if one.family == family)
    indexes = tuple(f"{component}/binary-amd64/Packages" for component in components)

    def read(ending: str, root: str) -> Packages:
        suite = codename + ending
        return versions(Suite(f"{root}/dists/{suite}", indexes, row.keyring, codename=suite))

    own = read("", roots[family, ""])
    if codename in row.without_updates:
        return own, []
    later = [read(ending, roots[family, ""]) for ending in row.updates]
    if security := roots.get((family, "-security")):
        later.append(read("-security", security))
    return own, later


def _newest(packages: Packages | Iterable[Packages], name: str) -> str:
    several = [packages] if isinstance(packages, Mapping) else packages
    there = [upstream(version) for one in several for version in one.get(name, ())]
    return max(there, key=numbers, default="")


def _driver(
    found: Found, row: DriverRow, name: str, own: str, later: str, today: date
) -> None:  # fmt: skip
    """
    One row, held against what there is.

    + own: what the release itself has; later: what its updates have, where that was read
    """
    known, now = row.newest or row.version, max(own, later, key=numbers)
    if not own:
        found.unread.append(f"drivers of {name}: it has no {row.packages[0]}")
    elif numbers(own) < numbers(row.version):
        found.unread.append(f"drivers of {name}: it has {own}, older than {row.version}")
    elif own == row.version and numbers(now) <= numbers(known):
        found.same.append(f"{name}: driver {known} {row.flavour}")
    else:
        source = f"{name}, {_BY}; {row.packages[0]} of {_MACHINE}; the kernels as before, not tried"
        own = own if branch(own) == branch(now) else now  # a row is of one branch
        new = replace(
            row, version=own, newest=now if now != own else None, branch=branch(own),
            source=source, date=today,
        )  # fmt: skip
        found.add("driver", new, f"{name}: driver {now} {row.flavour}, before {known}")


def of_nvidia(found: Found, root: str, today: date) -> None:
    """The branches of NVIDIA's apt repositories, and the newest version of each branch."""
    seen: dict[int, str] = {}
    for row in tables().nvidia_repository:
        family = next((d for d in tables().distribution if d.family == row.distribution), None)
        if family is None or family.packages != "apt" or _MACHINE not in row.machines:
            continue
        name = f"NVIDIA's repository {row.name}"
        if row.fingerprint is None:
            found.unread.append(f"{name}: gpurig has no verified key of it")
            continue
        place = f"{root}/{row.name}/{row.machines[_MACHINE]}"
        suite = Suite(place, ("Packages",), row.fingerprint, key=f"{place}/{row.key}")
        try:
            packages = versions(suite)
        except UnreadError as error:
            found.unread.append(f"{name}: {error}")
            continue
        _repository(found, row, name, packages, seen, today)
    for number, version in sorted(seen.items()):
        _branch(found, number, version, today)


def _repository(
    found: Found, row: NvidiaRepositoryRow, name: str, packages: Mapping[str, set[str]],
    seen: dict[int, str], today: date,
) -> None:  # fmt: skip
    there = {
        upstream(version)
        for package, all_of_it in packages.items()
        if _OF_DRIVER.fullmatch(package)
        for version in all_of_it
    } - {""}
    if not there:
        found.unread.append(f"{name}: it has no packages of a driver")
        return
    for version in there:
        seen[branch(version)] = max(version, seen.get(branch(version), version), key=numbers)
    known = {one.number: one for one in tables().branch}
    oldest = min(row.branches)
    offered = sorted({branch(version) for version in there if branch(version) >= oldest})
    for number in set(offered) - set(known):
        found.unread.append(f"{name}: driver branch {number}, of a kind that gpurig does not know")
    branches = [n for n in offered if n in known and (n in row.branches or not known[n].ended)]
    if not branches:
        return
    if branches == sorted(row.branches):
        found.same.append(f"{name}: driver branches {', '.join(map(str, branches))}")
        return
    told = f"driver branches {', '.join(map(str, branches))}"
    new = replace(row, branches=branches, source=f"{row.source}; branches: its {_BY}", date=today)
    found.add("nvidia_repository", new, f"{name}: {told}")


def _branch(found: Found, number: int, version: str, today: date) -> None:
    row = next((one for one in tables().branch if one.number == number), None)
    if row is None or (row.versions and numbers(row.versions[-1]) >= numbers(version)):
        return
    source = f"{row.source}; {version}: NVIDIA's repository, {_BY}"
    new: BranchRow = replace(row, versions=[*row.versions, version], source=source, date=today)
    found.add("branch", new, f"driver branch {number}: {version}")
