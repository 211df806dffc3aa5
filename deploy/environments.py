"""Python environments, in the order in which each stands on the one before."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.deploy import deploy

from gpurig import locks
from gpurig.operations import environment, packages
from gpurig.settings import Settings
from gpurig.stack.model import Stack


@deploy("Environments")
def environments(stack: Stack, settings: Settings) -> None:
    """virtualenv, uv, and each environment with its packages."""
    packages.packages("environments", environment.PACKAGES)
    environment.tools(settings)
    for wanted in host.loop(stack.environments):
        path = f"{settings.venv_root}/{wanted.name}"
        lock = locks.text(wanted, stack.architecture, settings.pypi_index)
        environment.interpreter(wanted.name, path, wanted.python, lock)
        environment.packages(wanted.name, path, lock, settings)
