"""The system's cuDNN: NVIDIA's packages, never newer than the GPUs allow, found by the loader."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent
from gpurig.facts.cudnn import (
    PREFERENCES,
    CudnnDownloader,
    CudnnLibraries,
    CudnnOffers,
    CudnnPin,
    Downloader,
)
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.shared.apt_get import UPDATED
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import held, install, missing, movable, settled

HEADER = "# Written by gpurig: cuDNN stays at a version that the GPUs of this host can use.\n"


@keeps("cudnn.packages")
def packages(
    packages: Sequence[str], maximum: str | None = None, minimum: str | None = None
) -> Commands:
    """
    cuDNN's packages are installed, all of one version, and apt keeps them at or below `maximum`.

    + maximum: the highest version that is allowed (``9.10.2``), or ``None``
    + minimum: the lowest one; the same for a version that somebody chose

    What is installed and lawful stays. A newer one goes back to the newest lawful one.
    """
    found, pin = known(Packages, packages=" ".join(packages)), known(CudnnPin)
    bounds = Bounds(minimum, maximum)
    wrong = _wrong(found, packages, bounds)
    settled(found)
    if wrong:
        if read(CudnnDownloader):
            return unknown(
                "Debian's nvidia-cudnn has files with the same names. Run"
                " apt-get purge nvidia-cudnn, or set rig_cudnn to wheels"
            )
        movable(held(found))
        yield from _moved(packages, bounds, wrong)
    else:
        yield from _kept(packages, bounds, found[packages[0]]["version"], pin)


class Bounds(NamedTuple):
    """The lowest and the highest version that are allowed, as far as each says."""

    minimum: str | None
    maximum: str | None

    def allow(self, version: str) -> bool:
        """``9.10`` allows every ``9.10.…``."""
        found, low, high = (numbers(one or "") for one in (version, self.minimum, self.maximum))
        enough = not self.minimum or found[: len(low)] >= low
        return enough and (not self.maximum or found[: len(high)] <= high)

    @property
    def told(self) -> str:
        if self.minimum:
            return f"version {self.minimum}"
        return f"at most {self.maximum}" if self.maximum else "installed"


def _kept(packages: Sequence[str], bounds: Bounds, version: str, pin: str | Absent) -> Commands:
    """What is installed stays, and is kept from rising where there is a maximum."""
    if pin == (version if bounds.maximum else ABSENT):
        return holds(f"{', '.join(packages)} {version}")
    if bounds.maximum:
        drift(
            actual=f"apt is not pinned to {version}",
            wanted=bounds.told,
            will=f"write {PREFERENCES}",
        )
        yield from written(PREFERENCES, _stanza(packages, version))
    else:
        drift(
            actual=f"apt is pinned to {pin}",
            wanted="installed",
            will=f"remove {PREFERENCES}",
        )
        yield StringCommand("rm -f", QuoteString(PREFERENCES))


def _moved(packages: Sequence[str], bounds: Bounds, wrong: Sequence[str]) -> Commands:
    """All of them at the newest lawful version, up or down."""
    drift(
        actual="; ".join(wrong),
        wanted=bounds.told,
        will=f"install {', '.join(packages)}",
    )
    if not bounds.maximum:
        yield StringCommand("rm -f", QuoteString(PREFERENCES))
    version = yield from _chosen(packages, bounds)
    if version is None:
        message = f"apt has no {packages[0]}" + (f" of {bounds.told}" if bounds.maximum else "")
        yield StringCommand("echo", QuoteString(f"E: {message}"), ">&2; exit 1")
        return
    if bounds.maximum:
        yield from written(PREFERENCES, _stanza(packages, version))
    # All at once: the headers' package depends on its library's very version.
    yield install([f"{name}={version}" for name in packages], downgrade=True)


def _wrong(found: dict[str, Package], packages: Sequence[str], bounds: Bounds) -> list[str]:
    """What is not as it should be, in words."""
    wrong = []
    for name in packages:
        if name not in found or found[name]["state"] != "installed":
            wrong.append(f"{name} is not installed")
        elif not bounds.allow(found[name]["version"]):
            wrong.append(f"{name} is {found[name]['version']}")
    versions = {found[name]["version"] for name in packages if name in found}
    if not wrong and len(versions) > 1:
        wrong.append(f"the packages have different versions ({' and '.join(sorted(versions))})")
    return wrong


def _chosen(packages: Sequence[str], bounds: Bounds) -> Generator[StringCommand, None, str | None]:
    """The newest lawful version that apt has of all of them, from fresh lists if need be."""
    version = _offered(packages, bounds)
    if version is None:
        yield StringCommand(UPDATED, "updated")
        version = _offered(packages, bounds)
    return version


def _offered(packages: Sequence[str], bounds: Bounds) -> str | None:
    offers = read(CudnnOffers, packages=" ".join(packages))
    if not isinstance(offers, dict) or not packages:
        return None
    common = [
        version
        for version in offers.get(packages[0], [])
        if bounds.allow(version) and all(version in offers.get(name, []) for name in packages[1:])
    ]
    return max(common, key=numbers, default=None)


def numbers(version: str) -> tuple[int, ...]:
    """``9.10.2.21-1`` as numbers, without the packaging's own; a part that is none counts as 0."""
    upstream = version.partition(":")[2] or version
    parts = upstream.partition("-")[0].partition("+")[0].split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def _stanza(packages: Iterable[str], version: str) -> str:
    return f"{HEADER}Package: {' '.join(packages)}\nPin: version {version}\nPin-Priority: 1001\n"


@keeps("cudnn.library")
def library(packages: Sequence[str]) -> Commands:
    """
    The loader finds cuDNN.

    + packages: that bring it; empty where it is Debian's nvidia-cudnn, which only a person can
      complete: it downloads NVIDIA's library after a yes to its licence
    """
    libraries, downloader = known(CudnnLibraries), known(CudnnDownloader)
    ours = [one for one in libraries if not packages or one["package"] in packages]
    if ours:
        return holds(f"ldconfig finds {ours[0]['path']}, {ours[0]['version']}")
    if not packages:
        return unknown(_by_hand(downloader))
    found = read(Packages, packages=" ".join(packages))
    if not isinstance(found, dict) or missing(packages, found):
        return follows("cudnn.packages")
    drift(
        actual="the loader does not find libcudnn"
        if not libraries else f"the loader finds {libraries[0]['path']}",
        wanted=f"the loader finds libcudnn of {packages[0]}",
        will="run ldconfig",
    )  # fmt: skip
    yield StringCommand("ldconfig")


def _by_hand(downloader: Downloader | Absent) -> str:
    """What a person does to have Debian's cuDNN."""
    if downloader:
        return (
            f"nvidia-cudnn {downloader['version']} is"
            f" {downloader['state']} but its library is missing. Run"
            " update-nvidia-cudnn -u and accept NVIDIA's licence, or"
            " set rig_cudnn to wheels"
        )
    return (
        "cuDNN is missing; install nvidia-cudnn and accept NVIDIA's"
        " licence, or set rig_cudnn to wheels"
    )
