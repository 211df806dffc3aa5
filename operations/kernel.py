"""The kernel: headers for the one that boots next, and for those that will follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, holds, keeps
from gpurig.facts.driver.kernel_modules import KernelModules
from gpurig.facts.kernel.kernels import BootKernels, Kernel
from gpurig.facts.packages.apt import Candidates
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.shared.packages import installed
from gpurig.stack.versions import numbers


@keeps("kernel.headers")
def headers(packages: Sequence[str]) -> Commands:
    """
    Kernels that may boot next have headers, and meta-packages bring them for each later one.

    + packages: the meta-packages, and the kernel's own where an image without one is baked

    A meta-package of headers goes with the kernels' own, in the same series: backports have both
    under the names of stable's. Without that one no kernel follows, and each has its own headers.
    A boot default that is older than the newest kernel and has the module needs none: its headers
    may be gone from the archive.
    """
    kernel = known(Kernel)
    own = [f"{_headers_of(release)}-{release}" for release in _lacking(kernel)]
    if not kernel["installed"]:
        yield from installed([*packages, *own])
        return
    beside = {name: _image(name) for name in packages}
    found = known(Packages, packages=" ".join([*beside, *beside.values()])) if packages else {}
    follow = {name: _there(found, image) for name, image in beside.items()}
    metas = {name: numbers(version)[:2] for name, version in follow.items() if version}
    versions = _of_series(metas, found)
    if not [*versions, *own]:
        return holds("the kernels have headers, and no package brings later kernels")
    exact = {name: version for name, version in versions.items() if version}
    yield from installed([*versions, *own], versions=exact)


def _lacking(kernel: BootKernels) -> list[str]:
    """The kernels that may boot next and need headers."""
    wanted = [one for one in kernel["may_boot"] if one not in kernel["headers"]]
    if wanted and wanted[0] != kernel["installed"][-1]:
        modules = read(KernelModules, releases=wanted[0])
        if isinstance(modules, list) and modules[0]["resolved"]:
            return wanted[1:]
    return wanted


def _of_series(
    metas: Mapping[str, tuple[int, ...]], found: Mapping[str, Package]
) -> dict[str, str]:
    """
    The meta-packages of headers to have, with the version where apt would take another series.

    + metas: the series of the kernels beside each, ``(6, 12)``

    One whose series no repository has is left out.
    """
    wrong = [n for n, series in metas.items() if numbers(_there(found, n))[:2] != series]
    offers = known(Candidates, packages=" ".join(wrong)) if wrong else {}
    versions = {name: "" for name in metas if name not in wrong}
    for name in wrong:
        choice = offers.get(name)
        if choice is None:
            continue
        fitting = [v for v in choice["versions"] if numbers(v)[:2] == metas[name]]
        if choice["candidate"] in fitting and not _there(found, name):
            versions[name] = ""
        elif fitting:
            versions[name] = fitting[0]  # apt lists the newest first
    return versions


def _there(found: Mapping[str, Package], name: str) -> str:
    """The version of a package that is installed, else empty."""
    return found[name]["version"] if name in found and found[name]["state"] == "installed" else ""


def _headers_of(release: str) -> str:
    """How the package of a kernel's headers begins: Proxmox's kernels have names of their own."""
    if not release.endswith("-pve"):
        return "linux-headers"
    return "proxmox-headers" if numbers(release)[:2] >= (6, 5) else "pve-headers"


def _image(name: str) -> str:
    """The meta-package of kernels beside one of headers."""
    image = "linux-image" if name.startswith("linux-") else "proxmox-kernel"
    image = "pve-kernel" if name.startswith("pve-") else image
    return image + name.partition("headers")[2] if "headers" in name else name


@keeps("kernel.headers")
def headers_dnf(packages: Sequence[str]) -> Commands:
    """
    The same by dnf.

    + packages: ``kernel-devel-matched``, ``kernel-headers`` …
    """
    kernel = known(Kernel)
    own = [f"kernel-devel-{one}" for one in kernel["may_boot"] if one not in kernel["headers"]]
    yield from installed([*packages, *own])
