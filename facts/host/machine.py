"""Which machine this is: its own name, and its processors."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import Absent, Unknown


class Hardware(TypedDict):
    """
    + name: as gethostname(2) has it
    + cpu: the processor's name; empty where the machine does not tell it
    + cpus: how many processors Linux schedules on; 0 where the machine does not tell
    """

    name: str
    cpu: str
    cpus: int


class Machine(Fact[Hardware]):
    """
    The host's own name and its processors.

    ``{"name": "gpu01", "cpu": "AMD EPYC 9654 96-Core Processor", "cpus": 192}``

    The kernel names x86 processors in /proc/cpuinfo; on ARM, lscpu knows the names.
    """

    def command(self) -> StringCommand:
        return framed(
            'n=$(uname -n) && [ -n "$n" ] || exit 1; echo "name $n";'
            " i=/proc/cpuinfo; [ -e $i ] || i=/dev/null;"
            " c=$(sed -n 's/^model name[^:]*: *//p' $i | head -n 1);"
            ' [ -n "$c" ] || ! command -v lscpu >/dev/null || c=$(LC_ALL=C must lscpu'
            " | sed -n 's/^Model name: *//p' | head -n 1);"
            ' echo "cpu $c"; echo "cpus $(awk "/^processor/ { n++ } END { print n + 0 }" $i)"'
        )

    def parse(self, lines: list[str], code: int) -> Hardware | Absent | Unknown:
        told = {word: text for word, _, text in (line.partition(" ") for line in lines)}
        if code or not told["name"]:
            return Unknown("the host does not report its name")
        return Hardware(name=told["name"], cpu=told["cpu"], cpus=int(told["cpus"] or 0))
