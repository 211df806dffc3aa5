"""The system's CUDA toolkit and cuDNN, in the order in which each stands on the one before."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.contract.promise import left_out
from gpurig.deploy.repositories import repository
from gpurig.operations import cuda as operations
from gpurig.operations import cudnn
from gpurig.operations.packages import sources
from gpurig.settings.table import Settings
from gpurig.stack.model import Cuda, Stack


@layer("CUDA")
def cuda(stack: Stack, settings: Settings) -> None:
    """Where its packages come from, the toolkit, its compiler, link, loader, shells; cuDNN."""
    _sources(stack, settings)
    if stack.cuda is not None and stack.cuda.origin != "wheels":
        _toolkit(stack.cuda)
    if stack.cudnn is not None and stack.cudnn.origin != "wheels":
        packages = stack.cudnn.packages if stack.cudnn.origin == "nvidia" else ()
        if packages:
            maximum, minimum = stack.cudnn.maximum, stack.cudnn.minimum
            cudnn.packages(packages=packages, maximum=maximum, minimum=minimum)
        cudnn.library(packages=packages)


def _sources(stack: Stack, settings: Settings) -> None:
    """What the driver's layer has seen to is not done twice: each file has one writer."""
    driver, parts = stack.driver, [part for part in (stack.cuda, stack.cudnn) if part]
    components = stack.cuda.components if stack.cuda else ()
    if components and not (driver and driver.components):
        sources.components(components=components, archive=stack.archive, mirror=settings.apt_mirror)
    repositories = {part.repository for part in parts} - {None, driver and driver.repository}
    for place in repositories:
        assert place is not None
        repository(stack, place, keyring="cuda.keyring", promise="cuda.repository")


def _toolkit(wanted: Cuda) -> None:
    own = wanted.home if wanted.origin == "nvidia" else None  # /usr/local/cuda-12.8
    operations.packages(packages=wanted.packages, home=own)
    operations.host_compiler(gcc=wanted.gcc)
    if own:
        operations.link(home=own)
    else:
        left_out("cuda.link", "the distribution's nvcc is /usr/bin/nvcc")
    operations.loader(home=own)
    operations.profile(home=own, gcc=wanted.gcc)
