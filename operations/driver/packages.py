"""The driver's packages: from the source, of the branch and of the flavour that are wanted."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Unknown
from gpurig.facts.driver.packages import (
    FAMILY,
    OTHERS,
    DriverInstalled,
    DriverPackage,
    DriverPackages,
    branch,
)
from gpurig.facts.packages.apt import Candidates, Pins, Sources
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.driver.preferences import FILE, contradiction, fits, hosts, told
from gpurig.operations.shared.packages import APT, ENVIRONMENT, HALF_WAY, LOCK_SECONDS
from gpurig.stack.model import Driver

Commands = Generator[StringCommand, None, None]

PINNING = "nvidia-driver-pinning-*"
UPDATE = f"{ENVIRONMENT} apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} update"

# One transaction, tried dry first: what it would remove must be the driver's, by name and by what
# the package says of itself. All is downloaded before anything is removed.
_TRANSACTION = r"""
set -f
apt() { @ENVIRONMENT@ @APT@ @OPTIONS@ "$@" @WORDS@; }
simulated() { plan=$(apt --simulate install 2>&1); }
refreshed() { @UPDATE@; }
failed() { echo "E: $1" >&2; exit 1; }
fetched() { apt --download-only install; }
simulated || { refreshed && simulated; } ||
    failed "apt cannot do it: $(printf '%s\n' "$plan" | grep -E '^( .* :|E:)' | sed 's/^ *//' |
        head -n 2 | paste -s -d ' ')"
foreign=
for p in $(printf '%s\n' "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p'); do
    case ${p%%:*} in
    @FAMILY@)
        case $(dpkg-query -W -f '${source:Package}|${Maintainer}\n' "$p" | head -n 1) in
        @OTHERS@) ;;
        linux-restricted-modules*'|'*|*[Nn][Vv][Ii][Dd][Ii][Aa]*) continue ;;
        esac ;;
    esac
    foreign="$foreign${foreign:+, }$p"
done
[ -z "$foreign" ] || failed "would remove $foreign, which is not NVIDIA's driver"
fetched || { refreshed && simulated && fetched; } || failed "the packages cannot be downloaded"
auto=$([ -z "@KEPT@" ] || apt-mark showauto @KEPT@)
apt --no-download install || exit 1
set -- $auto
[ $# = 0 ] ||
    set -- $(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' "$@" |
        sed -n 's/ installed$//p')
[ $# = 0 ] || apt-mark auto "$@" >/dev/null
[ -z "$(dpkg --audit)" ] || failed "$(dpkg --audit | head -n 1)"
"""


@keeps("driver.pinning")
def pinning(package: str | None) -> Commands:
    """
    NVIDIA's own package that keeps the host on a branch is there, and that of no other branch.

    + package: ``nvidia-driver-pinning-580``; ``None``: no branch is kept

    It comes before the driver: an unpinned host gets the newest branch with all its packages.
    """
    found = read(Packages, packages=PINNING)
    if isinstance(found, Unknown):
        return unknown(found.reason)
    assert isinstance(found, dict)
    others = [name for name in sorted(found) if name != package]
    state = found[package]["state"] if package and package in found else ""
    if not others and (state == "installed" or not package):
        return holds(package or "no branch is pinned")
    if any(found[name]["state"] in HALF_WAY for name in found):
        return follows("packages.dpkg", "known after the interrupted installation is finished")
    if held := [name for name in sorted(found) if found[name]["held"]]:
        return unknown(_held(held))
    drift(
        actual=", ".join(others) or "not pinned",
        wanted=package or "no branch pinned",
        will=" and ".join(
            [f"install {package}"] * bool(package and state != "installed")
            + [f"remove {', '.join(others)}"] * bool(others)
        ),
    )
    # Purged: what a removed one leaves in preferences.d would go on pinning.
    new = [package] if package and state != "installed" else []
    yield transaction([*new, *(f"{name}-" for name in others)], options="--purge")


@keeps("driver.packages")
def packages(driver: Driver) -> Commands:
    """
    The driver's packages are installed: of the source, the branch and the flavour wanted.

    What is of them holds, whatever newer there is. What is of others is moved in one transaction,
    or refused with names. A driver from a .run file, from elsewhere or on hold is the user's.
    """
    here, family = read(DriverInstalled), read(DriverPackages)
    found = read(Packages, packages=" ".join(driver.packages))
    for fact in (here, family, found):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(family, dict)
    assert isinstance(found, dict)
    if isinstance(here, dict) and here["source"] == "runfile":
        return unknown(
            f"a .run file brought the driver {here['version'] or '(of unknown version)'};"
            " run nvidia-uninstall to have it from packages"
        )
    if isinstance(here, dict) and here["source"] == "other":
        return unknown(
            f"the driver {here['version']} is neither the distribution's nor NVIDIA's;"
            " remove its packages to have it from there"
        )
    move = _Move.of(driver, family, found)
    if move.nothing:
        return holds(", ".join(f"{name} {found[name]['version']}" for name in driver.packages))
    half = any(found[name]["state"] in HALF_WAY for name in move.missing if name in found)
    if half and not move.wrong:  # what the other flavour's module keeps half done ends as it goes
        return follows("packages.dpkg", "known after the interrupted installation is finished")
    if move.held:
        return unknown(_held(move.held))
    reason = _pinned_otherwise(driver)
    if reason:
        return unknown(reason)
    missing = ", ".join(move.missing)
    is_new = isinstance(here, dict) or bool(move.strays)
    drift(
        actual=_actual(here, move) if is_new else "not installed",
        wanted=f"{told(driver)}, {driver.flavour}",
        will=f"install {missing}"
        if not move.strays
        else f"move to {told(driver)}, {driver.flavour}, in one transaction",
        leaves="every package that is not NVIDIA's driver" if move.strays else "",
    )
    yield from _moved(driver, move)


@dataclass(frozen=True)
class _Move:
    """
    What stands between the host and the driver that is wanted.

    + missing: wanted packages that are not installed
    + strays: installed packages of the driver that are of another source, branch or flavour
    + wrong: those of the strays that bring the other flavour's module
    """

    missing: list[str]
    strays: dict[str, DriverPackage]
    wrong: set[str]
    held: list[str]

    @classmethod
    def of(
        cls, driver: Driver, family: dict[str, DriverPackage], found: dict[str, Package]
    ) -> _Move:
        missing = [n for n in driver.packages if n not in found or found[n]["state"] != "installed"]
        wrong = {n for n, p in family.items() if p["flavour"] not in ("", driver.flavour)}
        strays = {
            name: package
            for name, package in sorted(family.items())
            if name in wrong
            or (
                package["own"]
                and (
                    package["source"] != driver.source
                    or branch(package["version"]) not in ("", driver.branch)
                )
            )
        }
        held = {n for n in missing if n in found and found[n]["held"]}
        held |= {n for n, package in strays.items() if package["held"]}
        return cls(missing, strays, wrong, sorted(held))

    @property
    def nothing(self) -> bool:
        return not self.missing and not self.strays


def _moved(driver: Driver, move: _Move) -> Commands:
    """Which packages go and which come is apt's candidates' to say; they are read just before."""
    names = sorted({*driver.packages, *move.strays})
    suitable = _suitable(driver, names)
    if not suitable.issuperset(driver.packages):  # the lists may never have been fetched
        yield StringCommand(UPDATE)
        suitable = _suitable(driver, names)
    if lacking := [name for name in driver.packages if name not in suitable]:
        yield _refusal(f"apt has no candidate of {told(driver)} for {', '.join(lacking)}")
        return
    come = [name for name in move.strays if name in suitable - move.wrong]
    go = [name for name in move.strays if name not in come and name not in driver.packages]
    yield transaction(
        [*move.missing, *(n for n in come if n not in move.missing), *(f"{n}-" for n in go)],
        kept=[name for name in come if name not in driver.packages],
    )


def _suitable(driver: Driver, names: Iterable[str]) -> set[str]:
    """Those of these packages of which apt would take the version wanted."""
    candidates, sources = read(Candidates, packages=" ".join(names)), read(Sources)
    if not isinstance(candidates, dict) or not isinstance(sources, list):
        return set()
    nvidia = hosts(sources)
    return {
        name
        for name, choice in candidates.items()
        if fits(
            driver, choice["candidate"], choice["versions"].get(choice["candidate"], []), nvidia
        )
    }


def transaction(
    words: Iterable[str], options: str = "--allow-downgrades", kept: Sequence[str] = ()
) -> StringCommand:
    """
    One transaction of apt over these words, ``name`` or ``name-``, simulated first.

    + kept: those of them that stay marked as automatically installed if they are
    """
    parts = {
        "WORDS": " ".join(map(shlex.quote, words)),
        "ENVIRONMENT": ENVIRONMENT,
        "APT": APT,
        "OPTIONS": f"--no-install-recommends {options}",
        "UPDATE": UPDATE,
        "FAMILY": "|".join((*FAMILY, PINNING)),
        "OTHERS": "|".join(f"{name}'|'*" for name in OTHERS),
        "KEPT": " ".join(map(shlex.quote, kept)),
    }
    script = _TRANSACTION
    for key, value in parts.items():
        script = script.replace(f"@{key}@", value)
    return StringCommand(f"({script})")


def _refusal(sentence: str) -> StringCommand:
    return StringCommand(f"echo {shlex.quote(f'E: {sentence}')} >&2; exit 1")


def _held(names: Sequence[str]) -> str:
    return f"{', '.join(names)} is on hold; run apt-mark unhold to let it be moved"


def _pinned_otherwise(driver: Driver) -> str:
    """A pin of the user's that outranks ours, once ours is there."""
    pins = read(Pins)
    if not isinstance(pins, list) or not any(pin["file"] == FILE for pin in pins):
        return ""
    reason = contradiction(driver)
    return "" if isinstance(reason, Unknown) else reason


def _actual(here: object, move: _Move) -> str:
    if isinstance(here, dict) and move.strays:
        return f"{here['source']}, {here['version']}, {here['flavour']}"
    if move.strays:
        return ", ".join(f"{name} {p['version']}" for name, p in move.strays.items())
    return f"{', '.join(move.missing)} not installed"
