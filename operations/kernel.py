"""The kernel: headers for the one that boots next, and for those that will follow it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import StringCommand

from gpurig.fact import read
from gpurig.facts.kernel import Kernel
from gpurig.facts.nvidia_modules import KernelModules
from gpurig.operations.packages import installed
from gpurig.promise import keeps, unknown
from gpurig.values import Absent, Unknown


@keeps("kernel.headers")
def headers(packages: Sequence[str]) -> Generator[StringCommand, None, None]:
    """
    Kernels that may boot next have headers, and meta-packages bring them for each later one.

    + packages: the meta-packages, and the kernel's own where an image without one is baked

    A boot default that is older than the newest kernel and has the module needs none: its headers
    may be gone from the archive.
    """
    kernel = read(Kernel)
    if isinstance(kernel, Unknown | Absent):
        return unknown(kernel.reason if isinstance(kernel, Unknown) else "no kernel")
    wanted = [one for one in kernel["may_boot"] if one not in kernel["headers"]]
    if wanted and wanted[0] != kernel["installed"][-1]:
        modules = read(KernelModules, releases=wanted[0])
        if isinstance(modules, list) and modules[0]["resolved"]:
            wanted = wanted[1:]
    own = [f"linux-headers-{release}" for release in wanted]
    yield from installed([*packages, *own])
