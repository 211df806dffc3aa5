"""Python environments, in the order in which each stands on the one before."""

from __future__ import annotations

from pathlib import Path

from pyinfra import host

from gpurig import store
from gpurig.contract.frameworks import keras_backend, product
from gpurig.contract.layer import layer
from gpurig.contract.limits import Limits
from gpurig.hosts.connector import LOCAL
from gpurig.operations import host as host_name
from gpurig.operations.environments import environment, jupyter, leftovers, uv, uv_python
from gpurig.operations.environments.horovod import wheel
from gpurig.operations.shared import ownership, packages
from gpurig.settings import pip
from gpurig.settings.options import Options
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack
from gpurig.wheels import horovod, locks
from gpurig.wheels.cache import Shelf


@layer("Environments")
def environments(stack: Stack, settings: Settings, options: Options) -> None:
    """virtualenv, uv, each environment with its packages, what is left over, and kernels."""
    if stack.environments:
        _made(stack, settings, options)
    leftovers.leftovers(
        root=settings.venv_root,
        wanted=tuple(wanted.name for wanted in stack.environments),
        prune=options.prune,
    )
    kernels = {
        wanted.name: jupyter.spec(
            wanted.name,
            f"{settings.venv_root}/{wanted.name}",
            keras_backend(wanted.base or wanted.framework),
        )
        for wanted in (stack.environments if settings.jupyter else ())
    }
    jupyter.kernels(venv_root=settings.venv_root, wanted=kernels)


def _made(stack: Stack, settings: Settings, options: Options) -> None:
    root = settings.venv_root
    mirrors = {one.python: one.python_mirror for one in stack.environments if one.python_mirror}
    folders = (ownership.OURS, *[uv_python.PYTHONS] * bool(mirrors), root, f"{root}/.gpurig")
    ownership.folders(promise="environments.folders", paths=folders)
    pythons = {one.python_package for one in stack.environments if one.python_package}
    packages.packages(
        promise="environments.packages", packages=(*environment.PACKAGES, *sorted(pythons))
    )
    shelf = _shelf(stack, settings, options)
    downloads = uv.Downloads(settings.pypi_index, settings.proxy, shelf, own(settings, host.name))
    uv.tools(downloads=downloads)
    for python, mirror in host.loop(list(mirrors.items())):
        uv_python.uv_python(
            python=python, architecture=stack.architecture, mirror=mirror, downloads=downloads
        )
    for wanted in host.loop(stack.environments):
        path = f"{settings.venv_root}/{wanted.name}"
        lock = locks.find(wanted, stack.architecture, settings.pypi_index)
        rivals = locks.rivals(wanted, lock.text)
        environment.interpreter(
            title=wanted.name,
            path=path,
            python=wanted.python,
            lock=lock,
            downloads=downloads,
            executable=uv_python.executable(wanted.python, stack.architecture)
            if wanted.python_mirror
            else "",
            keep_extras=settings.keep_extras,
            besides=("horovod",) if wanted.framework == "horovod" else (),
            rivals=rivals,
            product=product(wanted.framework, wanted.version, wanted.base, wanted.accelerator),
            room=round(wanted.gigabytes * 1e9),
        )
        environment.packages(
            title=wanted.name,
            path=path,
            lock=lock,
            downloads=downloads,
            keep_extras=settings.keep_extras,
            besides=("horovod",) if wanted.framework == "horovod" else (),
            rivals=rivals,
        )
        environment.search_path(title=wanted.name, path=path)
        if wanted.framework == "horovod":
            host_name.resolves()
            build = horovod.build(wanted, lock.text, stack.architecture)
            wheel(title=wanted.name, path=path, build=build, downloads=downloads)


def own(settings: Settings, name: str) -> pip.Indexes:
    """The indexes of this machine's pip for an environment of this machine, if no other is set."""
    return pip.Indexes() if settings.pypi_index or name != LOCAL else pip.indexes()


def _shelf(stack: Stack, settings: Settings, options: Options) -> Shelf | None:
    """Where this machine keeps wheels for its hosts, if it does."""
    if not settings.cache and not options.share_wheels:
        return None
    folder = (Path(settings.cache) if settings.cache else store.cache()) / "wheels"
    seconds = Limits(**settings.limits).download
    return Shelf(folder, stack.architecture, settings.pypi_index, bool(settings.cache), seconds)
