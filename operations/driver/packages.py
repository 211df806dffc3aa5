"""The driver's packages: from the source, of the branch and of the flavour that are wanted."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.driver.packages import (
    FAMILY,
    OTHERS,
    DriverInstalled,
    DriverPackage,
    DriverPackages,
    Installed,
)
from gpurig.facts.driver.versions import branch
from gpurig.facts.packages.apt import Candidates, Pins, Sources
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.driver.preferences import (
    FILE,
    contradiction,
    fits,
    is_too_old,
    nvidia_places,
    told,
)
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, UPDATED
from gpurig.operations.shared.packages import held, missing, movable, settled, shown
from gpurig.operations.shared.words import those
from gpurig.stack.model import Driver

PINNING = "nvidia-driver-pinning-*"

# One transaction, tried dry first: what it would remove must be the driver's, by name and by what
# the package says of itself. All is downloaded before anything is removed.
_TRANSACTION = r"""
set -f
@UPDATED@
apt() { @ENVIRONMENT@ @APT@ ${tells:+-o APT::Status-Fd=$tells} @OPTIONS@ "$@" @WORDS@; }
simulated() { plan=$(apt --simulate install 2>&1); }
failed() { echo "E: $1" >&2; exit 1; }
fetched() { apt --download-only install; }
simulated || { updated && simulated; } ||
    failed "apt cannot do it: $(printf '%s\n' "$plan" | grep -E '^( .* :|E:)' | sed 's/^ *//' |
        head -n 2 | paste -s -d ' ')$unread"
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
fetched || { updated && simulated && fetched; } ||
    failed "the packages cannot be downloaded$unread"
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
    found = known(Packages, packages=PINNING)
    others = [name for name in sorted(found) if name != package]
    lacking = missing([package] if package else [], found)
    if not others and not lacking:
        return holds(package or "no branch is pinned")
    settled(found)
    movable(held(found, sorted(found)))
    steps = {f"install {package}": lacking, f"remove {', '.join(others)}": others}
    drift(
        actual=", ".join(others) or "not pinned",
        wanted=package or "no branch pinned",
        will=" and ".join(those(steps)),
    )
    # Purged: what a removed one leaves in preferences.d would go on pinning.
    moved = transaction([*lacking, *(f"{name}-" for name in others)], options="--purge")
    yield shown(moved.get_raw_value())


@keeps("driver.packages")
def packages(driver: Driver) -> Commands:
    """
    The driver's packages are installed: of the source, the branch and the flavour wanted.

    What is of them holds, whatever newer there is. What is of others is moved in one transaction,
    or refused with names. A driver from a .run file, from elsewhere or on hold is the user's.
    """
    here, family = known(DriverInstalled), known(DriverPackages)
    found = known(Packages, packages=" ".join(driver.packages))
    if users_own := _users_own(here):
        return unknown(users_own)
    move = _Move.of(driver, family, found)
    if move.nothing:
        return holds(", ".join(f"{name} {found[name]['version']}" for name in driver.packages))
    if not move.wrong:  # what the other flavour's module keeps half done ends as it goes
        settled(found)
    movable(move.held)
    if reason := _pinned_otherwise(driver):
        return unknown(reason)
    if move.strays:
        drift(
            actual=_actual(here, move.strays),
            wanted=f"{told(driver)}, {driver.flavour}",
            will=f"move to {told(driver)}, {driver.flavour}, in one transaction",
            leaves="every package that is not NVIDIA's driver",
        )
    else:
        lacking = ", ".join(move.missing)
        drift(
            actual="not installed" if here is ABSENT else f"{lacking} not installed",
            wanted=f"{told(driver)}, {driver.flavour}",
            will=f"install {lacking}",
        )
    yield from _moved(driver, move)


def _users_own(here: Installed | Absent) -> str:
    """Why the driver that is there is not gpurig's to move, in a sentence; else empty."""
    if here and here["source"] == "runfile":
        return (
            "a .run file installed the driver"
            f" {here['version'] or '(of unknown version)'}; run"
            " nvidia-uninstall, so that gpurig can install packages"
        )
    if here and here["source"] == "other":
        return (
            f"the driver {here['version']} is neither the distribution's"
            " nor NVIDIA's; remove its packages, so that gpurig can"
            " install another"
        )
    return ""


def _actual(here: Installed | Absent, strays: dict[str, DriverPackage]) -> str:
    if here:
        return f"{here['source']}, {here['version']}, {here['flavour']}"
    return ", ".join(f"{name} {package['version']}" for name, package in strays.items())


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
        lacking = missing(driver.packages, found)
        wrong = {n for n, p in family.items() if p["flavour"] not in ("", driver.flavour)}
        elsewhere = {name for name, package in family.items() if _is_elsewhere(package, driver)}
        strays = {name: family[name] for name in sorted(wrong | elsewhere)}
        on_hold = {*held(found, lacking)} | {n for n, package in strays.items() if package["held"]}
        return cls(lacking, strays, wrong, sorted(on_hold))

    @property
    def nothing(self) -> bool:
        return not self.missing and not self.strays

    def transaction(self, wanted: Sequence[str], suitable: set[str]) -> StringCommand:
        """
        The one that makes the move.

        + wanted: the driver's packages; suitable: those of which apt would take the right version
        """
        come = [name for name in self.strays if name in suitable - self.wrong]
        go = [f"{name}-" for name in self.strays if name not in come and name not in wanted]
        more = [name for name in come if name not in self.missing]
        kept = [name for name in come if name not in wanted]
        return transaction([*self.missing, *more, *go], kept=kept)


def _is_elsewhere(package: DriverPackage, driver: Driver) -> bool:
    """Whether a package of the driver is of another source or branch, or too old for the GPUs."""
    other = branch(package["version"]) not in (0, int(driver.branch))
    other = other or is_too_old(driver, package["version"])
    return package["own"] and (package["source"] != driver.source or other)


def _moved(driver: Driver, move: _Move) -> Commands:
    """Which packages go and which come is apt's candidates' to say; they are read just before."""
    names = sorted({*driver.packages, *move.strays})
    suitable = _suitable(driver, names)
    if not suitable.issuperset(driver.packages):  # the lists may never have been fetched
        yield StringCommand(UPDATED, "updated")
        suitable = _suitable(driver, names)
    if lacking := [name for name in driver.packages if name not in suitable]:
        yield _refusal(f"apt has no candidate from {told(driver)} for {', '.join(lacking)}")
        return
    yield shown(move.transaction(driver.packages, suitable).get_raw_value())


def _suitable(driver: Driver, names: Iterable[str]) -> set[str]:
    """Those of these packages of which apt would take the version wanted."""
    candidates, sources = read(Candidates, packages=" ".join(names)), read(Sources)
    if not isinstance(candidates, dict) or not isinstance(sources, list):
        return set()
    nvidia = nvidia_places(sources)
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
        "UPDATED": UPDATED,
        "FAMILY": "|".join((*FAMILY, PINNING)),
        "OTHERS": "|".join(f"{name}'|'*" for name in OTHERS),
        "KEPT": " ".join(map(shlex.quote, kept)),
    }
    script = _TRANSACTION
    for key, value in parts.items():
        script = script.replace(f"@{key}@", value)
    return StringCommand(f"({script})")


def _refusal(sentence: str) -> StringCommand:
    told = f"echo {shlex.quote(f'E: {sentence}')}"
    return StringCommand(UPDATED, f'updated >/dev/null; {told}"$unread" >&2; exit 1')


def _pinned_otherwise(driver: Driver) -> str:
    """A pin of the user's that outranks ours, once ours is there."""
    pins = read(Pins)
    if not isinstance(pins, list) or not any(pin["file"] == FILE for pin in pins):
        return ""
    reason = contradiction(driver)
    return "" if isinstance(reason, Unknown) else reason
