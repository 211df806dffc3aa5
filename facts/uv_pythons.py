"""Pythons that uv has installed for gpurig, beside the distribution's."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from gpurig.fact import Fact, framed
from gpurig.values import ABSENT, Absent, Unknown


class UvPython(Fact[str]):
    """
    What an interpreter says that it is, having imported what environments need.

    + executable: its path

    ``"3.12.16"``; ABSENT where it is not there or does not start.
    """

    def command(self, executable: str) -> StringCommand:
        return framed(
            f"{shlex.quote(executable)} -I -c"
            " 'import hashlib, platform, ssl, zlib; print(platform.python_version())' 2>/dev/null"
        )

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        return ABSENT if code or not lines else lines[0]
