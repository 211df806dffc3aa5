"""Jupyter: the kernels of gpurig's name that are registered for all users."""

from __future__ import annotations

import json
import shlex
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

KERNELS = "/usr/local/share/jupyter/kernels"  # jupyter_core's SYSTEM_JUPYTER_PATH, the first


class Kernel(TypedDict):
    """
    One registered kernel.

    + spec: its kernel.json; empty where that is not an object of JSON
    + ours: whether gpurig wrote it, as its metadata says; one that is empty is as good as none
    + alive: whether the environment of its name has an interpreter
    """

    spec: dict[str, Any]
    ours: bool
    alive: bool


class Kernels(Fact[dict[str, Kernel]]):
    """
    The kernels ``gpurig-…`` of all users; ABSENT where there are none.

    + venv_root: the folder of the environments

    ``{"gpurig-tensorflow": {"spec": {"argv": […], …}, "ours": true, "alive": true}}``
    """

    def command(self, venv_root: str) -> StringCommand:
        return framed(
            f"into {KERNELS} || exit 3; for f in gpurig-*/kernel.json; do"
            ' [ -e "$f" ] || continue; n=${f%/*}; a=dead;'
            f' [ ! -x {shlex.quote(venv_root)}/"${{n#gpurig-}}"/bin/python ] || a=alive;'
            ' echo "$n $a $(tr "\\n" " " < "$f")"; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Kernel] | Absent | Unknown:
        if code and code != 3:
            return Unknown("the kernels cannot be listed")
        found = {}
        for line in lines:
            name, alive, text = line.split(" ", 2)
            ours = '"gpurig"' in text or not text.strip()
            found[name] = Kernel(spec=_object(text), ours=ours, alive=alive == "alive")
        return found or ABSENT


def _object(text: str) -> dict[str, Any]:
    try:
        spec = json.loads(text)
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}
