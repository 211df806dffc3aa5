"""Pythons that uv has installed for gpurig, beside the distribution's."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.environments.tools import Tool, asked, tool
from gpurig.facts.host.ownership import GUARD


class UvPython(Fact[Tool]):
    """
    What an interpreter says that it is, having imported what environments need.

    + executable: its path, ``bin/python3.12`` of its folder

    ``{"version": "3.12.16", "open": "", "closed": ""}``; ABSENT where it is not there or does not
    start. Not started where others than root can change a file of it, or users cannot read one.
    """

    def command(self, executable: str) -> StringCommand:
        folder = executable.rsplit("/", 2)[0]
        look = "'import hashlib, platform, ssl, zlib; print(platform.python_version())'"
        return framed(f"{GUARD}{asked(folder, executable, f'-I -c {look}', closed=True)}")

    def parse(self, lines: list[str], code: int) -> Tool | Absent | Unknown:
        return tool(lines, code, str)
