"""apt's preferences for the driver: its packages come from one source and one branch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known, sure
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.contract.values import Unknown
from gpurig.facts.driver.packages import FAMILY
from gpurig.facts.driver.versions import branch, upstream
from gpurig.facts.packages.apt import (
    Candidate,
    Candidates,
    Origins,
    Pin,
    Pins,
    Source,
    Sources,
    address,
    place,
)
from gpurig.operations.packages.sources import ARCHIVES, COMPONENTS_FILE
from gpurig.operations.shared.file import written
from gpurig.stack.model import Archive, Driver
from gpurig.stack.versions import numbers

FILE = "/etc/apt/preferences.d/gpurig-nvidia"
GPURIG_S = "/etc/apt/sources.list.d/gpurig-"
SOURCE_FILE = f"{GPURIG_S}nvidia.sources"
# Parts of the address of NVIDIA's repository, on mirrors too, and of the folder that NVIDIA's
# local installer (package cuda-repo-…-local) unpacks it into.
CUDA_REPOSITORY = ("/compute/cuda/repos/", "/var/cuda-repo-", "/var/nvidia-driver-local-repo-")
HEADER = "# Written by gpurig; it writes it anew when it differs. The first pin that fits counts.\n"


@keeps("driver.preferences")
def preferences(driver: Driver, archive: Archive) -> Commands:
    """
    apt takes the driver's packages from the source that is wanted, also where that is a step down.

    + archive: the one that the distribution's own packages come from

    Only our own file is written. A pin of the user's that outranks it is named, and stays.
    """
    pins, sources = known(Pins), known(Sources)
    own = f"release o={archive.origin}, n={archive.codename}*"
    nvidia = nvidia_places(sources)
    wanted = _wanted(driver, own, nvidia, _shared(sources))
    ours = [pin for pin in pins if pin["file"] == FILE]
    if ours == wanted:
        if reason := sure(contradiction(driver)):
            return unknown(reason)
        where = f"{FILE} has them" if wanted else "no other source has the driver's packages"
        return holds(where)
    if not wanted:
        drift(
            actual=f"{FILE} has pins that no source needs",
            wanted=f"no {FILE}",
            will=f"remove {FILE}",
            leaves="every other preferences file",
        )
        yield StringCommand("rm -f", QuoteString(FILE))
        return
    drift(
        actual=f"{FILE} differs" if ours else "not pinned",
        wanted=f"the driver's packages from {told(driver)}",
        will=f"write {FILE}",
        leaves="every other preferences file",
    )
    yield from written(FILE, HEADER + "\n".join(map(_stanza, wanted)))


def told(driver: Driver) -> str:
    """The source that is wanted, in words: ``NVIDIA's 580``, ``the distribution``."""
    source = f"NVIDIA's {driver.branch}" if driver.source == "nvidia" else "the distribution"
    return f"{source}, {driver.oldest} or newer" if driver.oldest else source


def nvidia_places(sources: Sequence[Source]) -> list[str]:
    """
    The addresses of NVIDIA's CUDA repository among apt's sources.

    A mirror may have it under any address: what apt fetched from there says whose it is.
    """
    found = {
        address(uri)
        for source in sources
        for uri in source["uris"]
        if source["file"] == SOURCE_FILE or _is_named_for_nvidia(uri)
    }
    if not all(map(_is_clear, sources)):
        origins = read(Origins)
        if isinstance(origins, dict):
            found |= {address(uri) for uri, origin in origins.items() if origin == "NVIDIA"}
    return sorted(found)


def _is_clear(source: Source) -> bool:
    """Whether its addresses show that it is the distribution's archive, NVIDIA's or gpurig's."""
    return source["file"].startswith(GPURIG_S) or all(
        _is_named_for_nvidia(uri) or uri.rstrip("/").rsplit("/", 1)[-1] in (*ARCHIVES, "ubuntu")
        for uri in source["uris"]
    )


def _is_named_for_nvidia(uri: str) -> bool:
    return any(part in uri for part in CUDA_REPOSITORY)


def _shared(sources: Iterable[Source]) -> set[str]:
    """
    The hosts of repositories that may have another driver than NVIDIA's.

    Docker's and the container toolkit's, which gpurig adds later, have none.
    """
    return {
        place(uri)
        for source in sources
        if source["file"] == COMPONENTS_FILE or not source["file"].startswith(GPURIG_S)
        for uri in source["uris"]
        if not _is_named_for_nvidia(uri)
    }


def fits(driver: Driver, version: str, places: Iterable[str], nvidia: Iterable[str]) -> bool:
    """
    Whether a version of a package is what is wanted.

    + places: the addresses that have it; nvidia: those of NVIDIA's repository
    """
    if is_too_old(driver, version):
        return False
    if driver.repository:
        return branch(version) == int(driver.branch) and address(driver.repository.uri) in places
    return bool(set(places) - set(nvidia))


def is_too_old(driver: Driver, version: str) -> bool:
    """Whether a package's version is older than the first that knows the host's GPUs."""
    own = upstream(version)
    return bool(driver.oldest and own) and numbers(own) < numbers(str(driver.oldest))


def contradiction(driver: Driver) -> str | Unknown:
    """
    The pin of somebody's that outranks ours, in a sentence; empty where there is none.

    It shows in apt's choice: it is of another source although the wanted one has the package.
    """
    pins, sources = read(Pins), read(Sources)
    if isinstance(pins, Unknown):
        return pins
    if isinstance(sources, Unknown):
        return sources
    others = {name: file for name in driver.packages if (file := _pinned_by(name, pins))}
    if not others:  # apt takes a second to say what it would choose
        return ""
    candidates = read(Candidates, packages=" ".join(others))
    if isinstance(candidates, Unknown):
        return candidates
    for name, choice in candidates.items():
        right = _fitting(driver, choice, nvidia_places(sources))
        if right and choice["candidate"] not in right:
            return (
                f"{others[name]} makes apt choose {name}"
                f" {choice['candidate'] or '(none)'} instead of"
                f" {told(driver)} {right[0]}; remove that pin"
            )
    return ""


def _fitting(driver: Driver, choice: Candidate, nvidia: list[str]) -> list[str]:
    """The versions of a package that are what is wanted."""
    return [v for v, places in choice["versions"].items() if fits(driver, v, places, nvidia)]


def _pinned_by(name: str, pins: Iterable[Pin]) -> str:
    """
    The first file of the user's with a pin of this package, which may come before ours.

    Pins of all packages come after those by name, and NVIDIA's pinning packages agree with ours. A
    pin of a source package, or by a regular expression, may be one: apt's choice shows it.
    """
    for pin in pins:
        if pin["file"].rpartition("/")[2].startswith(("gpurig-", "nvidia-driver-pinning-")):
            continue
        if any(
            glob.startswith(("src:", "/")) or (glob != "*" and fnmatchcase(name, glob))
            for glob in pin["packages"]
        ):
            return pin["file"]
    return ""


def _wanted(driver: Driver, archive: str, nvidia: list[str], shared: set[str]) -> list[Pin]:
    """
    The pins that there should be.

    + archive: what its Release file says; nvidia: NVIDIA's addresses
    + shared: hosts that may have other repositories as well
    """

    def of(uri: str) -> str:
        """What a pin says of all that is from there: apt pins hosts, or what a Release says."""
        host = place(uri)
        return "release o=NVIDIA" if ":" in host or host in shared else f'origin "{host}"'

    def pin(what: str, priority: str) -> Pin:
        return Pin(file=FILE, packages=list(FAMILY), pin=what, priority=priority)

    # 1001 lets apt go down; 90 is less than what an installed package has.
    if driver.repository:
        return [
            pin(archive, "90"),
            pin(f"version {driver.branch}.*", "1001"),
            pin(of(driver.repository.uri), "90"),
        ]
    if not nvidia:
        return []
    return [pin(archive, "1001"), *(pin(what, "-1") for what in dict.fromkeys(map(of, nvidia)))]


def _stanza(pin: Pin) -> str:
    return (
        f"Package: {' '.join(pin['packages'])}\n"
        f"Pin: {pin['pin']}\nPin-Priority: {pin['priority']}\n"
    )
