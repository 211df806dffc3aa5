"""The environments that gpurig has made on a host, by the records that it keeps of them."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Leftovers(Fact[dict[str, int]]):
    """
    Environments with a record that are not wanted any more, and their size in bytes on disk.

    + root: the folder of the environments; wanted: names of those that stay

    ``{"pytorch": 6105776128}``; ABSENT where there are none. Old ones that were set aside for what
    users had in them are not among these. Only what is left over is measured: an environment has
    tens of thousands of files.
    """

    def command(self, root: str, wanted: tuple[str, ...]) -> StringCommand:
        stay = "|".join(shlex.quote(name) for name in wanted) or "''"
        return framed(
            f"into {shlex.quote(root)} || exit 3; for r in */.gpurig.json; do"
            ' [ -e "$r" ] || continue; n=${r%/*};'
            f' case "$n" in *.gpurig-old*|{stay}) ;; *) du -s -B1 -- "$n" || exit 1;; esac; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, int] | Absent | Unknown:
        if code and code != 3:
            return Unknown(
                "the size of an environment that the settings do not name cannot be read"
            )
        found = {line.split("\t", 1)[1]: int(line.split("\t", 1)[0]) for line in lines}
        return found or ABSENT
