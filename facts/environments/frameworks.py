"""Frameworks: which release of each, of CUDA and of cuDNN is in which Python environment."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.frameworks import folder, frameworks
from gpurig.contract.values import ABSENT, Absent, Unknown

_CUDA = ("nvidia_cuda_runtime", "nvidia_cuda_runtime_cu[0-9]*", "nvidia_cudnn_cu[0-9]*")


class Frameworks(Fact[dict[str, dict[str, str]]]):
    """
    The releases of frameworks, CUDA's runtime and cuDNN in the environments below a folder.

    + root: the folder

    ``{"keras": {"keras": "3.15.1", "torch": "2.15.0", "nvidia_cudnn_cu12": "9.28.0.42"}}``, by
    environment and wheel, as its folder is called; ABSENT without the folder.
    """

    def command(self, root: str = "/opt/gpurig/venvs") -> StringCommand:
        names = [folder(wheel) for one in frameworks().values() for wheel in one.wheels]
        patterns = " ".join(
            f"*/lib/python3*/site-packages/{name}-[0-9]*.dist-info" for name in (*names, *_CUDA)
        )
        return framed(
            f"into {shlex.quote(root)} || exit 3;"
            f' for d in {patterns}; do [ ! -d "$d" ] || echo "$d"; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, dict[str, str]] | Absent | Unknown:
        if code == 3:
            return ABSENT
        found: dict[str, dict[str, str]] = {}
        for line in lines:
            environment, *_, there = line.split("/")
            wheel, _, version = there.removesuffix(".dist-info").partition("-")
            found.setdefault(environment, {})[wheel] = version
        return found
