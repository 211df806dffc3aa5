"""A Python that the distribution lacks: uv's build of it, from a mirror that the settings name."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from gpurig.contract.attended import Attended
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
from gpurig.facts.environments.uv_python import UvPython
from gpurig.operations.environments.building import opened
from gpurig.operations.environments.uv import UV, Downloads, surroundings, within
from gpurig.operations.shared import ownership

PYTHONS = "/opt/gpurig/pythons"


def executable(python: str, architecture: str) -> str:
    """Where uv puts the interpreter of a minor version, whatever its patch level."""
    return f"{PYTHONS}/cpython-{python}-linux-{architecture}-gnu/bin/python{python}"


@keeps("environments.python-{python}")
def uv_python(python: str, architecture: str, mirror: str, downloads: Downloads) -> Commands:
    """
    This Python is in gpurig's own folder and starts.

    + python: ``3.12``; architecture: ``x86_64`` or ``aarch64``
    + mirror: the address that stands for python-build-standalone's releases

    uv knows the SHA256 of each of its builds and installs no other file. No link is put on
    anybody's PATH.
    """
    ownership.root_alone("environments.folders", PYTHONS)
    path = executable(python, architecture)
    there = known(UvPython, executable=path)
    if there and not there["open"] and not there["closed"]:
        return holds(f"Python {there['version']} in {PYTHONS}")
    if there and there["closed"]:
        folder = shlex.quote(path.rsplit("/", 2)[0])
        drift(
            actual=there["closed"],
            wanted=f"Python {python} for all users",
            will="make it readable for all users",
        )
        yield StringCommand(opened(folder))
        return
    wrong = there["open"] if there else f"no Python {python}"
    drift(actual=wrong, wanted=f"Python {python}", will=f"install it in {PYTHONS}")
    yield from surroundings(downloads)
    install = f"{UV} python install --no-bin --no-cache --no-progress --reinstall"
    yield Attended(
        within(
            # A link of somebody's there goes, and nothing that it leads to.
            f"rm -rf {PYTHONS}/cpython-{python}[-.]* &&"
            f" {install} --install-dir {PYTHONS} --mirror {shlex.quote(mirror)}"
            f" {shlex.quote(python)} && chmod go-w {PYTHONS}/.lock"
        )
    )
