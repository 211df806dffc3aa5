"""Python environments, in the order in which each stands on the one before."""

from __future__ import annotations

from pyinfra import host

from gpurig import horovod, locks
from gpurig.layer import layer
from gpurig.operations import environment, host_name, packages
from gpurig.operations.horovod import wheel
from gpurig.settings import Settings
from gpurig.stack.model import Stack

# Host data of one run: `--upgrade` resolves locks anew and lets newer releases replace what is
# installed, `--prune` deletes environments that are wanted no more.
UPGRADE = "gpurig_upgrade"
PRUNE = "gpurig_prune"


@layer("Environments")
def environments(stack: Stack, settings: Settings) -> None:
    """virtualenv, uv, and each environment with its packages."""
    packages.packages(layer="environments", packages=environment.PACKAGES)
    downloads = environment.Downloads(settings.pypi_index, settings.proxy)
    environment.tools(downloads=downloads)
    for wanted in host.loop(stack.environments):
        path = f"{settings.venv_root}/{wanted.name}"
        lock = locks.find(wanted, stack.architecture, settings.pypi_index)
        environment.interpreter(title=wanted.name, path=path, python=wanted.python, lock=lock)
        environment.packages(title=wanted.name, path=path, lock=lock, downloads=downloads)
        if wanted.framework == "horovod":
            host_name.resolves()
            build = horovod.build(wanted, lock.text, stack.architecture)
            wheel(title=wanted.name, path=path, build=build, downloads=downloads)
