"""Packages of apt or dnf: missing ones come in one transaction; what is there holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import ends_unknown, known
from gpurig.contract.progress import FD, Told, on_its_own
from gpurig.contract.promise import Commands, Ended, drift, follows, holds, keeps
from gpurig.facts.packages.dpkg import Package
from gpurig.facts.packages.package_manager import InstalledPackages
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, UPDATED, WAITS

# States of dpkg that its own unfinished work explains; they are packages.dpkg's to end.
HALF_WAY = ("unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending")

TELLS = f"-o APT::Status-Fd={FD}"  # within `on_its_own`: apt says how far it is
DNF = "LC_ALL=C dnf -q -y"  # it waits for its own lock as long as that takes

_EXACTLY = {"apt": "=", "dnf": "-"}  # between a package's name and its version
_RELEASE = {"apt": "apt-mark unhold", "dnf": "dnf versionlock delete"}

_NONE: Mapping[str, str] = MappingProxyType({})

# dnf heads its reasons with a bare "Error:"; the first of them is told as one line at the end.
DNF_SAID = (
    '{ printf "%s\\n" "$said"; why=$(printf "%s\\n" "$said" | sed -n'
    ' -e "s/^[> ]*Error: *\\([^ ].*\\)/\\1/p" -e "s/^  - \\(package .*\\)/\\1/p" | head -n 1);'
    ' echo "E: ${why:-dnf failed}"; exit 1; } >&2;'
)


@keeps("{promise}")
def packages(promise: str, packages: Sequence[str], recommends: bool = False) -> Commands:
    """
    These packages are installed, in whatever lawful version the host has.

    + promise: its id, ``rootless.packages``
    + packages: names
    + recommends: also what they recommend
    """
    yield from installed(packages, recommends=recommends)


def installed(
    packages: Sequence[str],
    recommends: bool = False,
    versions: Mapping[str, str] = _NONE,
    besides: Mapping[str, str] = _NONE,
) -> Commands:
    """
    State how these packages stand, and install the missing ones in one transaction.

    + versions: exact versions to install, by name, where not the repository's; one that ends in
      ``-*`` leaves the package's own revision open
    + besides: what a package's own script does to files of the user's, by name, for the plan

    For use inside an operation that `keeps` a promise. The lists are refreshed only when the
    package manager cannot install from those it has. A package on hold is never moved.
    """
    there = known(InstalledPackages, packages=" ".join(packages))
    found, manager = there["packages"], there["manager"]
    lacking = missing(packages, found)
    other = _otherwise(versions, found)
    moved = [name for name in packages if name in (*lacking, *other)]
    if not moved:
        return holds(", ".join(f"{name} {found[name]['version']}" for name in packages))
    settled(found)
    movable(held(found, (*lacking, *other)), _RELEASE[manager])
    words = [_word(name, versions.get(name), manager) for name in moved]
    scripts = [told for name, told in besides.items() if name in moved]
    exactly = f"all in version {', '.join(sorted(set(versions.values())))}".removesuffix("-*")
    drift(
        actual=_actual(packages, lacking, [f"{n} is {found[n]['version']}" for n in other]),
        wanted=exactly if other else "installed",
        will="; ".join([f"install {', '.join(words)}", *scripts]),
    )
    # Only those: naming an installed package to apt would upgrade it.
    if manager == "apt":
        yield install(words, recommends, downgrade=bool(other))
    else:
        yield install_by_dnf(words, recommends)


def _otherwise(versions: Mapping[str, str], found: Mapping[str, Package]) -> list[str]:
    """The packages that are installed at another version than they are to have."""
    there = {name: found[name] for name in versions if not missing([name], found)}
    return [name for name, package in there.items() if package["version"] != versions[name]]


def _word(name: str, version: str | None, manager: str) -> str:
    return name if version is None else f"{name}{_EXACTLY[manager]}{version}"


def _actual(packages: Sequence[str], lacking: Sequence[str], other: Sequence[str]) -> str:
    """What is there instead, in words; other: what is there of those of another version."""
    if len(lacking) == len(packages):
        return "not installed"
    return ", ".join([f"{', '.join(lacking)} not installed"] * bool(lacking) + [*other])


def missing(packages: Iterable[str], found: Mapping[str, Package]) -> list[str]:
    """Those of these packages that are not installed, or not whole."""
    return [name for name in packages if name not in found or found[name]["state"] != "installed"]


def held(found: Mapping[str, Package], names: Iterable[str] | None = None) -> list[str]:
    """Those of these packages that are on hold, in this order; of all that were found without."""
    return [n for n in (found if names is None else names) if n in found and found[n]["held"]]


def movable(names: Sequence[str], release: str = "apt-mark unhold") -> None:
    """End an operation that would move packages on hold, which is the user's word."""
    if names:
        ends_unknown(f"{', '.join(names)} is on hold; run {release} to let gpurig move it")


def settled(found: Mapping[str, Package]) -> None:
    """End an operation on packages that are half installed: packages.dpkg comes first."""
    if any(package["state"] in HALF_WAY for package in found.values()):
        follows(
            "packages.dpkg", "known after packages.dpkg has finished the interrupted installation"
        )
        raise Ended


def install(
    packages: Sequence[str], recommends: bool = False, downgrade: bool = False
) -> StringCommand:
    """The command that installs packages (``name`` or ``name=version``), with fresh lists."""
    option = "" if recommends else " --no-install-recommends"
    option += " --allow-downgrades" if downgrade else ""
    words: list[str | QuoteString] = [QuoteString(word) for word in packages]
    tried = StringCommand(f"{ENVIRONMENT} {APT} install{option}", *words, "--dry-run")
    line = StringCommand(f"{ENVIRONMENT} {APT} {TELLS} install{option}", *words)
    # A dry run tells whether the lists at hand are enough; a 404 tells it only on the way.
    script = StringCommand(
        f"{UPDATED} if", tried, ">/dev/null 2>&1; then", line,
        "|| { updated;", line, "; };", "else updated;", line, "; fi ||",
        '{ [ -z "$unread" ] || echo "E: ${unread#; }" >&2; exit 1; }',
    )  # fmt: skip
    return shown(script.get_raw_value())


def shown(script: str) -> StringCommand:
    """The command of a script that says on ``$tells`` for whom apt waits, and how far it is."""
    return Told(on_its_own(f"tells={FD}; {WAITS}{script}"))


def install_by_dnf(packages: Sequence[str], recommends: bool = False) -> StringCommand:
    """The same by dnf (``name`` or ``name-version``); nothing that is in the way is removed."""
    words: list[str | QuoteString] = [QuoteString(word) for word in packages]
    option = f"--setopt=install_weak_deps={recommends} install"
    return StringCommand(
        f"said=$({DNF} {option}", *words, f"2>&1) || said=$({DNF} --refresh {option}", *words,
        f"2>&1) || {DNF_SAID}", 'printf "%s\\n" "$said"',
    )  # fmt: skip
