"""The system's cuDNN: NVIDIA's packages, never newer than the GPUs allow, found by the loader."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

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
def packages(packages: Sequence[str], maximum: str | None = None) -> Commands:
    """
    cuDNN's packages are installed, all of one version, and apt keeps them at or below `maximum`.

    + maximum: the highest version that the GPUs allow (``9.10.2``), or ``None``

    What is installed and lawful stays. A newer one goes back to the newest lawful one.
    """
    found, pin = known(Packages, packages=" ".join(packages)), known(CudnnPin)
    wrong = _wrong(found, packages, maximum)
    settled(found)
    if wrong:
        if read(CudnnDownloader):
            return unknown(
                "Debian's nvidia-cudnn has files with the same names. Run"
                " apt-get purge nvidia-cudnn, or set rig_cudnn to wheels"
            )
        movable(held(found))
        yield from _moved(packages, maximum, wrong)
    else:
        yield from _kept(packages, maximum, found[packages[0]]["version"], pin)


def _kept(
    packages: Sequence[str], maximum: str | None, version: str, pin: str | Absent
) -> Commands:
    """What is installed stays, and is kept from rising where there is a maximum."""
    if pin == (version if maximum else ABSENT):
        return holds(f"{', '.join(packages)} {version}")
    if maximum:
        drift(
            actual=f"apt is not pinned to {version}",
            wanted=f"at most {maximum}",
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


def _moved(packages: Sequence[str], maximum: str | None, wrong: Sequence[str]) -> Commands:
    """All of them at the newest lawful version, up or down."""
    drift(
        actual="; ".join(wrong),
        wanted=f"at most {maximum}" if maximum else "installed",
        will=f"install {', '.join(packages)}",
    )
    if not maximum:
        yield StringCommand("rm -f", QuoteString(PREFERENCES))
    version = yield from _chosen(packages, maximum)
    if version is None:
        message = f"apt has no {packages[0]}" + (f" of at most {maximum}" if maximum else "")
        yield StringCommand("echo", QuoteString(f"E: {message}"), ">&2; exit 1")
        return
    if maximum:
        yield from written(PREFERENCES, _stanza(packages, version))
    # All at once: the headers' package depends on its library's very version.
    yield install([f"{name}={version}" for name in packages], downgrade=True)


def _wrong(found: dict[str, Package], packages: Sequence[str], maximum: str | None) -> list[str]:
    """What is not as it should be, in words."""
    wrong = []
    for name in packages:
        if name not in found or found[name]["state"] != "installed":
            wrong.append(f"{name} is not installed")
        elif not lawful(found[name]["version"], maximum):
            wrong.append(f"{name} is {found[name]['version']}")
    versions = {found[name]["version"] for name in packages if name in found}
    if not wrong and len(versions) > 1:
        wrong.append(f"the packages have different versions ({' and '.join(sorted(versions))})")
    return wrong


def _chosen(
    packages: Sequence[str], maximum: str | None
) -> Generator[StringCommand, None, str | None]:
    """The newest lawful version that apt has of all of them, from fresh lists if need be."""
    version = _offered(packages, maximum)
    if version is None:
        yield StringCommand(UPDATED, "updated")
        version = _offered(packages, maximum)
    return version


def _offered(packages: Sequence[str], maximum: str | None) -> str | None:
    offers = read(CudnnOffers, packages=" ".join(packages))
    if not isinstance(offers, dict) or not packages:
        return None
    common = [
        version
        for version in offers.get(packages[0], [])
        if lawful(version, maximum)
        and all(version in offers.get(name, []) for name in packages[1:])
    ]
    return max(common, key=numbers, default=None)


def numbers(version: str) -> tuple[int, ...]:
    """``9.10.2.21-1`` as numbers, without the packaging's own; a part that is none counts as 0."""
    upstream = version.partition(":")[2] or version
    parts = upstream.partition("-")[0].partition("+")[0].split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def lawful(version: str, maximum: str | None) -> bool:
    """Whether this version is at most the maximum, as far as the maximum says."""
    if maximum is None:
        return True
    highest = numbers(maximum)
    return numbers(version)[: len(highest)] <= highest


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
