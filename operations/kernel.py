"""The kernel: headers for the one that boots next, and for those that will follow it."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, keeps
from gpurig.facts.driver.kernel_modules import KernelModules
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.shared.packages import installed


@keeps("kernel.headers")
def headers(packages: Sequence[str]) -> Commands:
    """
    Kernels that may boot next have headers, and meta-packages bring them for each later one.

    + packages: the meta-packages, and the kernel's own where an image without one is baked

    A boot default that is older than the newest kernel and has the module needs none: its headers
    may be gone from the archive.
    """
    kernel = known(Kernel)
    wanted = [one for one in kernel["may_boot"] if one not in kernel["headers"]]
    if wanted and wanted[0] != kernel["installed"][-1]:
        modules = read(KernelModules, releases=wanted[0])
        if isinstance(modules, list) and modules[0]["resolved"]:
            wanted = wanted[1:]
    own = [f"linux-headers-{release}" for release in wanted]
    yield from installed([*packages, *own])


@keeps("kernel.headers")
def headers_dnf(packages: Sequence[str]) -> Commands:
    """
    The same by dnf.

    + packages: ``kernel-devel-matched``, ``kernel-headers`` …
    """
    kernel = known(Kernel)
    own = [f"kernel-devel-{one}" for one in kernel["may_boot"] if one not in kernel["headers"]]
    yield from installed([*packages, *own])
