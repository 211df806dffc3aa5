"""dkms: which modules it has built and installed for which kernels."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.fact import Fact, framed
from gpurig.values import ABSENT, Absent, Unknown

# ``MODULE, VERSION, KERNEL, ARCH: STATE`` of dkms 2.8 and ``MODULE/VERSION, KERNEL, ARCH: STATE``
# of 3.0 and 3.2; kernel and architecture only once it is built. Read in Debian's dkms scripts.
_LINE = re.compile(
    r"(?P<module>[^,/:]+)(?:, |/)(?P<version>[^,/:]+)(?:, (?P<kernel>[^,:]+), (?P<arch>[^,:]+))?"
    r": (?P<state>[a-z]+)(?P<rest>.*)"
)

# What it appends where the file in the kernel's tree is another than the one it built.
_DIFFERS = ("Diff between built and installed module", "Differences between built and installed")


class Built(TypedDict):
    """
    One module of dkms.

    + kernel, arch: for which it is built, ``None`` while it is only added
    + state: ``added``, ``built``, ``installed``, ``broken`` …; all but ``installed`` do not load
    + differs: whether the installed file is another than the built one
    """

    module: str
    version: str
    kernel: str | None
    arch: str | None
    state: str
    differs: bool


class DkmsStatus(Fact[list[Built]]):
    """
    What dkms says of its modules; ABSENT where there is no dkms.

    ``[{"module": "nvidia-current", "version": "550.163.01", "kernel": "6.12.117+deb13-amd64",
    "arch": "x86_64", "state": "installed", "differs": False}]``
    """

    def command(self) -> StringCommand:
        return framed("command -v dkms >/dev/null || exit 3; LC_ALL=C dkms status 2>/dev/null")

    def parse(self, lines: list[str], code: int) -> list[Built] | Absent | Unknown:
        if code == 3:
            return ABSENT
        found: list[Built] = []
        for line in filter(str.strip, lines):
            said = _LINE.fullmatch(line)
            if said is None:
                return Unknown(f"dkms says {line}")
            found.append(
                Built(
                    module=said["module"],
                    version=said["version"],
                    kernel=said["kernel"],
                    arch=said["arch"],
                    state=said["state"],
                    differs=any(words in said["rest"] for words in _DIFFERS),
                )
            )
        return found
