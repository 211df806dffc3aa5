"""Packages of apt or dnf: missing ones come in one transaction; what is there holds."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Unknown
from gpurig.facts.packages.package_manager import InstalledPackages

LOCK_SECONDS = 600  # how long another apt or dpkg is waited for; unattended-upgrades takes minutes

# States of dpkg that its own unfinished work explains; they are packages.dpkg's to end.
HALF_WAY = ("unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending")

ENVIRONMENT = "DEBIAN_FRONTEND=noninteractive LC_ALL=C"
APT = (
    f"apt-get -q -y -o DPkg::Lock::Timeout={LOCK_SECONDS} -o Dpkg::Use-Pty=0"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)
DNF = "LC_ALL=C dnf -q -y"  # it waits for its own lock as long as that takes

# dnf heads its reasons with a bare "Error:"; the first of them is told as one line at the end.
DNF_SAID = (
    '{ printf "%s\\n" "$said"; why=$(printf "%s\\n" "$said" | sed -n'
    ' -e "s/^[> ]*Error: *\\([^ ].*\\)/\\1/p" -e "s/^  - \\(package .*\\)/\\1/p" | head -n 1);'
    ' echo "E: ${why:-dnf failed}"; exit 1; } >&2;'
)


@keeps("{promise}")
def packages(
    promise: str, packages: Sequence[str], recommends: bool = False
) -> Generator[StringCommand, None, None]:
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
    versions: Mapping[str, str] | None = None,
    besides: Mapping[str, str] | None = None,
) -> Generator[StringCommand, None, None]:
    """
    State how these packages stand, and install the missing ones in one transaction.

    + versions: exact versions to install, by name, where they matter; empty: the repository's;
      one that ends in ``-*`` leaves the package's own revision open
    + besides: what a package's own script does to files of the user's, by name, for the plan

    For use inside an operation that `keeps` a promise. The lists are refreshed only when the
    package manager cannot install from those it has. A package on hold is never moved.
    """
    there = read(InstalledPackages, packages=" ".join(packages))
    if isinstance(there, Unknown):
        return unknown(there.reason)
    assert isinstance(there, dict)
    found, manager = there["packages"], there["manager"]
    versions = versions or {}
    missing = [n for n in packages if n not in found or found[n]["state"] != "installed"]
    other = [
        name
        for name in packages
        if name not in missing and versions.get(name) and found[name]["version"] != versions[name]
    ]
    if not missing and not other:
        return holds(", ".join(f"{name} {found[name]['version']}" for name in packages))
    if any(n in found and found[n]["state"] in HALF_WAY for n in missing):
        return follows("packages.dpkg", "known after the interrupted installation is finished")
    held = [n for n in (*missing, *other) if n in found and found[n]["held"]]
    if held:
        release = "apt-mark unhold" if manager == "apt" else "dnf versionlock delete"
        return unknown(f"{', '.join(held)} is on hold; run {release} to let it be moved")
    exact = "=" if manager == "apt" else "-"
    words = [f"{n}{exact}{versions[n]}" if versions.get(n) else n for n in packages]
    wrong = [f"{', '.join(missing)} not installed"] if missing else []
    wrong += [f"{name} is {found[name]['version']}" for name in other]
    moved = [w for n, w in zip(packages, words, strict=True) if n in (*missing, *other)]
    scripts = [told for n, told in (besides or {}).items() if n in (*missing, *other)]
    drift(
        actual=", ".join(wrong) if other or len(missing) < len(packages) else "not installed",
        wanted="installed"
        if not other
        else f"all at {', '.join(sorted(set(versions.values())))}".removesuffix("-*"),
        will="; ".join([f"install {', '.join(moved)}", *scripts]),
    )
    # Only those: naming an installed package to apt would upgrade it.
    if manager == "apt":
        yield install(moved, recommends, downgrade=bool(other))
    else:
        yield install_by_dnf(moved, recommends)


def install(
    packages: Sequence[str], recommends: bool = False, downgrade: bool = False
) -> StringCommand:
    """The command that installs packages (``name`` or ``name=version``), with fresh lists."""
    option = "" if recommends else " --no-install-recommends"
    option += " --allow-downgrades" if downgrade else ""
    words: list[str | QuoteString] = [QuoteString(word) for word in packages]
    line = StringCommand(f"{ENVIRONMENT} {APT} install{option}", *words)
    refresh = f"{ENVIRONMENT} apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} update"
    # A dry run tells whether the lists at hand are enough; a 404 tells it only on the way.
    return StringCommand(
        "if", line, "--dry-run >/dev/null 2>&1; then", line, "|| {", refresh, "&&", line, "; };",
        "else", refresh, "&&", line, "; fi",
    )  # fmt: skip


def install_by_dnf(packages: Sequence[str], recommends: bool = False) -> StringCommand:
    """The same by dnf (``name`` or ``name-version``); nothing that is in the way is removed."""
    words: list[str | QuoteString] = [QuoteString(word) for word in packages]
    option = f"--setopt=install_weak_deps={recommends} install"
    return StringCommand(
        f"said=$({DNF} {option}", *words, f"2>&1) || said=$({DNF} --refresh {option}", *words,
        f"2>&1) || {DNF_SAID}", 'printf "%s\\n" "$said"',
    )  # fmt: skip
