"""The system's cuDNN: NVIDIA's packages, never newer than the GPUs allow, found by the loader."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.cudnn import PREFERENCES, CudnnDownloader, CudnnLibraries, CudnnOffers, CudnnPin
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import ENVIRONMENT, HALF_WAY, LOCK_SECONDS, install

Commands = Generator[StringCommand | FileUploadCommand, None, None]

HEADER = "# Written by gpurig: cuDNN stays at a version that the GPUs of this host can use.\n"


@keeps("cudnn.packages")
def packages(packages: Sequence[str], maximum: str | None = None) -> Commands:
    """
    cuDNN's packages are installed, all of one version, and apt keeps them at or below `maximum`.

    + maximum: the highest version that the GPUs allow (``9.10.2``), or ``None``

    What is installed and lawful stays. A newer one goes back to the newest lawful one.
    """
    names = " ".join(packages)
    found, pin = read(Packages, packages=names), read(CudnnPin)
    for fact in (found, pin):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(found, dict)
    wrong = _wrong(found, packages, maximum)
    if any(found[name]["state"] in HALF_WAY for name in found):
        return follows("packages.dpkg", "known after the interrupted installation is finished")
    version = found[packages[0]]["version"] if not wrong else None
    wanted_pin = version if maximum else ABSENT
    if not wrong and pin == wanted_pin:
        return holds(f"{', '.join(packages)} {version}")
    downloader = read(CudnnDownloader)
    if wrong and isinstance(downloader, dict):
        return unknown(
            "Debian's nvidia-cudnn has files of the same names; run apt-get purge nvidia-cudnn, or"
            " set rig_cudnn to wheels"
        )
    held = [name for name in found if found[name]["held"]]
    if wrong and held:
        return unknown(f"{', '.join(held)} is on hold; run apt-mark unhold to let it be moved")
    drift(
        actual="; ".join(wrong) or (f"apt is not told to stay at {version}" if maximum
                                    else f"apt is told to stay at {pin}"),
        wanted=f"at most {maximum}" if maximum else "installed",
        will=f"install {', '.join(packages)}" if wrong else f"write {PREFERENCES}"
        if maximum else f"remove {PREFERENCES}",
    )  # fmt: skip
    if not maximum:
        yield StringCommand("rm -f", QuoteString(PREFERENCES))
    if wrong:
        version = yield from _chosen(packages, maximum)
        if version is None:
            message = f"apt has no {packages[0]}" + (f" of at most {maximum}" if maximum else "")
            yield StringCommand("echo", QuoteString(f"E: {message}"), ">&2; exit 1")
            return
    if maximum and version:
        yield from written(PREFERENCES, _stanza(packages, version))
    if wrong:
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
        wrong.append(f"{' and '.join(sorted(versions))} are mixed")
    return wrong


def _chosen(
    packages: Sequence[str], maximum: str | None
) -> Generator[StringCommand, None, str | None]:
    """The newest lawful version that apt has of all of them, from fresh lists if need be."""
    version = _offered(packages, maximum)
    if version is None:
        yield StringCommand(
            f"{ENVIRONMENT} apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} update"
        )
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
    libraries, downloader = read(CudnnLibraries), read(CudnnDownloader)
    for fact in (libraries, downloader):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(libraries, list)
    ours = [one for one in libraries if not packages or one["package"] in packages]
    if ours:
        return holds(f"ldconfig finds {ours[0]['path']}, {ours[0]['version']}")
    if not packages:
        if isinstance(downloader, dict):
            return unknown(
                f"nvidia-cudnn {downloader['version']} is {downloader['state']} without its"
                " library; run update-nvidia-cudnn -u, which asks for a yes to NVIDIA's licence,"
                " or set rig_cudnn to wheels"
            )
        return unknown(
            "cuDNN is not there; install nvidia-cudnn, which asks for a yes to NVIDIA's licence,"
            " or set rig_cudnn to wheels"
        )
    found = read(Packages, packages=" ".join(packages))
    if not isinstance(found, dict) or any(
        name not in found or found[name]["state"] != "installed" for name in packages
    ):
        return follows("cudnn.packages")
    drift(
        actual="libcudnn is not found by the loader"
        if not libraries else f"the loader finds {libraries[0]['path']}",
        wanted=f"libcudnn of {packages[0]} is found",
        will="run ldconfig",
    )  # fmt: skip
    yield StringCommand("ldconfig")
