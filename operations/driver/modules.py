"""NVIDIA's modules of the kernels that may boot next, which several promises go by."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.contract.known import known
from gpurig.contract.promise import Ended, follows
from gpurig.facts.driver.kernel_modules import KernelModule, KernelModules


def loadable(releases: Sequence[str]) -> list[KernelModule]:
    """Those that kernels of these releases load; without any the operation waits for the build."""
    found = known(KernelModules, releases=" ".join(releases))
    modules = [one for one in found if one["resolved"]]
    if not modules:
        follows("driver.module-for-next-boot")
        raise Ended
    return modules
