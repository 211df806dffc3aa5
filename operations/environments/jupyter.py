"""Jupyter kernels: one per environment, registered for all users of the host."""

from __future__ import annotations

import json
import shlex
from typing import Any

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.environments.jupyter import KERNELS, Kernel, Kernels
from gpurig.operations.environments.uv import Commands
from gpurig.operations.shared.file import written


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
    found = read(Kernels, venv_root=venv_root)
    if isinstance(found, Unknown):
        return unknown(found.reason)
    there: dict[str, Kernel] = {} if isinstance(found, Absent) else found
    specs = {f"gpurig-{name}": one for name, one in wanted.items()}
    if foreign := [name for name in specs if name in there and not there[name]["ours"]]:
        return unknown(f"{KERNELS}/{foreign[0]} is not gpurig's; rename or remove it")
    whole = {
        name: _over(there[name]["spec"] if name in there else {}, specs[name]) for name in specs
    }
    write = {n: one for n, one in whole.items() if n not in there or there[n]["spec"] != one}
    remove = [
        name
        for name, kernel in there.items()
        if kernel["ours"] and name not in specs and not (specs and kernel["alive"])
    ]
    if not write and not remove:
        return holds(", ".join(specs) or "none")
    drift(
        actual=", ".join(sorted(name for name in there if there[name]["ours"])) or "none",
        wanted=", ".join(specs) or "none",
        will=" and ".join(
            [f"register {', '.join(write)}"] * bool(write)
            + [f"remove {', '.join(remove)}"] * bool(remove)
        ),
    )
    for name, one in write.items():
        yield from written(f"{KERNELS}/{name}/kernel.json", json.dumps(one, indent=2) + "\n")
    for name in remove:
        folder = shlex.quote(f"{KERNELS}/{name}")
        # Only what gpurig put there: a logo of somebody's stays.
        yield StringCommand(
            f"rm -f {folder}/kernel.json && rmdir --ignore-fail-on-non-empty {folder}"
        )


def _over(there: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What is there, with our keys in it, also one deeper."""
    deeper = {
        key: there[key] | value
        for key, value in ours.items()
        if isinstance(value, dict) and isinstance(there.get(key), dict)
    }
    return there | ours | deeper
