"""The kernel: headers for the one that boots next, and for those that will follow it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import StringCommand

from gpurig.fact import read
from gpurig.facts.kernel import Kernel
from gpurig.operations.packages import installed
from gpurig.promise import keeps, unknown
from gpurig.values import Absent, Unknown


@keeps("kernel.headers")
def headers(packages: Sequence[str]) -> Generator[StringCommand, None, None]:
    """
    The kernel that boots next has headers, and meta-packages bring them for each later one.

    + packages: the meta-packages, and the kernel's own where an image without one is baked
    """
    kernel = read(Kernel)
    if isinstance(kernel, Unknown | Absent):
        return unknown(kernel.reason if isinstance(kernel, Unknown) else "no kernel")
    release = kernel["next"]
    own = [f"linux-headers-{release}"] if release and release not in kernel["headers"] else []
    yield from installed([*packages, *own])
