"""Everything a workstation gets, layer by layer, as far as its stack says."""

from __future__ import annotations

from dataclasses import replace

from pyinfra import host

from gpurig.contract.layer import layer
from gpurig.contract.promise import left_out, undecided
from gpurig.contract.values import ABSENT
from gpurig.deploy.container_toolkit import container_toolkit, device_links
from gpurig.deploy.cuda import cuda
from gpurig.deploy.dnf_driver import driver as dnf_driver
from gpurig.deploy.docker import docker
from gpurig.deploy.driver import driver
from gpurig.deploy.environments import environments
from gpurig.deploy.images import images
from gpurig.deploy.packages import packages
from gpurig.deploy.podman import podman
from gpurig.deploy.rootless import rootless
from gpurig.deploy.users import users
from gpurig.deploy.workloads import workloads
from gpurig.operations import files
from gpurig.settings.checks import validate
from gpurig.settings.options import DEFAULTS, Options
from gpurig.settings.table import Settings
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.observed import Observed
from gpurig.stack.reading import observe
from gpurig.stack.resolver import resolve
from gpurig.wheels import locks


@layer("Workstation")
def workstation(options: Options = DEFAULTS) -> tuple[Observed, Stack | Refusal]:
    """
    Read the facts, resolve the stack, and bring each of its layers about, in order.

    The answer: what the resolver was given, and what it answered.
    """
    settings = validate(host.data.dict(), where=host.name)
    observed = observe(settings.venv_root)
    if options.upgrade:  # what is installed and what is locked hold no longer
        stack = resolve(settings, replace(observed, frameworks=ABSENT))
    else:
        stack = resolve(settings, observed, locks.kept())
    if isinstance(stack, Refusal):
        return observed, stack
    stack = locks.fitted(stack, settings.pypi_index, renew=options.upgrade)
    _set_up(stack, settings, options)
    return observed, stack


def _set_up(stack: Stack, settings: Settings, options: Options) -> None:
    """Each layer that the stack has, in the order in which they stand on each other."""
    for item in stack.left_out:
        (undecided if item.undecided else left_out)(item.component, item.reason)
    files.access()  # first: the package manager and services read them
    if stack.package_manager == "apt":
        packages(stack, settings)
        if stack.driver:
            driver(stack, settings)
        cuda(stack, settings)
    elif stack.driver:
        dnf_driver(stack, settings)
    container_toolkit(stack, settings)  # before Docker, which does not start on a broken CDI spec
    podman(stack, settings)
    docker(stack, settings, options)
    device_links(stack, settings)
    rootless(stack, settings)
    users(stack, settings)
    none_wanted = settings.frameworks == () and not settings.components
    if stack.environments or none_wanted:  # what was made and is not wanted any more is named
        environments(stack, settings, options)
    if stack.environments or stack.images:  # the workloads run in images as well
        workloads(stack, settings)
    if stack.images:  # last: a base image that cannot be pulled stops nothing else
        images(stack, settings)


if __name__ == "builtins":  # pyinfra runs deploy files without a name of their own
    workstation()
