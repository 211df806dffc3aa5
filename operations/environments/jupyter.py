"""Jupyter kernels: one per environment, registered for all users of the host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.facts.environments.jupyter import KERNELS, Kernel, Kernels
from gpurig.operations.shared.file import written
from gpurig.operations.shared.words import those

_Specs = dict[str, dict[str, Any]]  # what stands in each kernel's kernel.json, by its name
_Found = dict[str, Kernel]


def spec(name: str, path: str, backend: str | None) -> dict[str, Any]:
    """
    What gpurig says in the kernel.json of an environment.

    + name: of the environment; path: its folder
    + backend: what its Keras computes with, None without one
    """
    return {
        "argv": [f"{path}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"{name} (gpurig)",
        "language": "python",
        "env": {"KERAS_BACKEND": backend} if backend else {},
        "metadata": {"debugger": True, "gpurig": {"environment": name}},
    }


@keeps("environments.kernels")
def kernels(venv_root: str, wanted: dict[str, dict[str, Any]]) -> Commands:
    """
    Each environment has its kernel; with none wanted gpurig's are gone, and nobody else's.

    + venv_root: the folder of the environments
    + wanted: by the environment's name, what `spec` says; other keys of a kernel.json stay

    The kernel of an environment that is not wanted any more stays as long as the environment.
    """
    there = known(Kernels, venv_root=venv_root) or {}
    specs = {f"gpurig-{name}": one for name, one in wanted.items()}
    theirs = [name for name, kernel in there.items() if not kernel["ours"]]
    if foreign := [name for name in specs if name in theirs]:
        return unknown(f"{KERNELS}/{foreign[0]} is not from gpurig; rename or remove it")
    write, remove, names = (
        _written(there, specs),
        _left_over(there, specs),
        ", ".join(specs) or "none",
    )
    if not write and not remove:
        return holds(names)
    steps = {f"register {', '.join(write)}": write, f"remove {', '.join(remove)}": remove}
    drift(
        actual=", ".join(sorted(there.keys() - theirs)) or "none",
        wanted=names,
        will=" and ".join(those(steps)),
    )
    yield from _registered(write)
    yield from _removed(remove)


def _registered(specs: _Specs) -> Commands:
    for name, one in specs.items():
        yield from written(f"{KERNELS}/{name}/kernel.json", json.dumps(one, indent=2) + "\n")


def _removed(names: Iterable[str]) -> Commands:
    for name in names:
        folder = shlex.quote(f"{KERNELS}/{name}")
        # Only what gpurig put there: a logo of somebody's stays.
        yield StringCommand(
            f"rm -f {folder}/kernel.json && rmdir --ignore-fail-on-non-empty {folder}"
        )


def _written(there: _Found, specs: _Specs) -> _Specs:
    """What is written into the kernel.json of each kernel that is not as it should be."""
    before = {name: there[name]["spec"] if name in there else {} for name in specs}
    after = {name: _over(before[name], spec) for name, spec in specs.items()}
    return {n: spec for n, spec in after.items() if n not in there or before[n] != spec}


def _left_over(there: _Found, specs: _Specs) -> list[str]:
    """
    Those of gpurig's kernels that go, as the settings name none of them.

    One whose environment is still there stays, unless no kernel at all is wanted.
    """
    ours = {n: kernel for n, kernel in there.items() if kernel["ours"] and n not in specs}
    return [name for name, kernel in ours.items() if not (specs and kernel["alive"])]


def _over(there: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What is there, with our keys in it, also one deeper."""
    deeper = {
        key: there[key] | value
        for key, value in ours.items()
        if isinstance(value, dict) and isinstance(there.get(key), dict)
    }
    return there | ours | deeper
