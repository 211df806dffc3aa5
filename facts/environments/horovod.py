"""What a build of Horovod has left on a host."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

FOLDER = "/var/lib/gpurig/horovod-build"  # on disk: a build takes hundreds of megabytes
ADDED = f"{FOLDER}/packages"  # what was installed for it, written before it is


class BuildLeft(Fact[list[str]]):
    """
    The packages that a build which was cut off had installed; ABSENT where none was cut off.

    ``["cmake", "g++", …]``
    """

    def command(self) -> StringCommand:
        return framed(f"[ -d {FOLDER} ] || exit 3; [ ! -e {ADDED} ] || cat {ADDED}")

    def parse(self, lines: list[str], code: int) -> list[str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{ADDED} cannot be read")
        return lines
