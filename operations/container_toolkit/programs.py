"""The toolkit's programs: dockerd finds them, and can run them."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.facts.container_toolkit.toolkit import ToolkitPackages, ToolkitPrograms
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT
from gpurig.operations.shared.words import few


@keeps("container-toolkit.programs")
def programs() -> Commands:
    """
    Each program of the toolkit's packages is there and can be run, and dockerd finds this one.

    A program of the same name that a person put before it is named and stays.
    """
    packages, found = known(ToolkitPackages), known(ToolkitPrograms)
    if "nvidia-container-toolkit-base" not in packages:
        return follows("container-toolkit.packages")
    missing, closed, before = found["missing"], found["closed"], found["before"]
    if not missing and not closed:
        if before:
            return due(
                f"dockerd finds {', '.join(before)} before the toolkit's own; remove or rename it"
            )
        return holds("the toolkit's programs can be run")
    told = [f"{few(missing)} missing"] * bool(missing)
    told += [f"{few(closed)} cannot be run"] * bool(closed)
    reinstalled = [f"{name}={version}" for name, version in packages.items()]
    drift(
        actual=", ".join(told),
        wanted="the toolkit's programs can be run",
        will=f"reinstall {few(list(packages))}" if missing else "let everybody run them",
    )
    if closed:
        yield StringCommand("chmod a+rx", *map(QuoteString, closed))
    if missing:
        names = map(QuoteString, reinstalled)
        yield StringCommand(f"{ENVIRONMENT} {APT} install --reinstall", *names)
