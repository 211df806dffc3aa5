"""dkms: which modules it has built and installed for which kernels, and which failed."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

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


# The first error in a build's log: the compiler's or the linker's, else make's own.
ERROR = r"(^|[^-[:alnum:]])(fatal )?error: |[*][*][*] .*Error [0-9]|^ERROR"

# dkms keeps the log of its last build; one that succeeded has the module beside the kernel's name.
_FAILED = rf"""
tool dkms dkms || exit 3
for log in /var/lib/dkms/nvidia*/*/build/make.log /var/lib/dkms/nvidia*/*/*/*/log/make.log; do
    [ -r "$log" ] || continue
    set -- $(sed -n '1s/.*make[.]log for .* for kernel \([^ ]*\) (\([^ )]*\)).*/\1 \2/p' "$log")
    [ $# = 2 ] || continue
    name=${{log#/var/lib/dkms/}} module=${{name%%/*}} version=${{name#*/}} version=${{version%%/*}}
    [ -d "/var/lib/dkms/$module/$version/$1/$2/module" ] && continue
    said=$(sed -nE '\~{ERROR}~{{p;q}}' "$log")
    said=${{said:-$(sed -nE '/^# exit code: *[1-9]/{{p;q}}' "$log")}}
    [ -n "$said" ] || continue
    printf '%s\n' "$module $version $1 ${{said#"${{log%/*}}/"}}"
done
exit 0
"""


class Failure(TypedDict):
    """One build that failed: of which module for which kernel, and the log's first error."""

    module: str
    version: str
    kernel: str
    error: str


def failed_for(failures: list[Failure] | Absent, module: str, version: str = "") -> dict[str, str]:
    """By kernel, the first error of the builds of a module, of one version where it is given."""
    return {
        one["kernel"]: one["error"]
        for one in failures or ()
        if one["module"] == module and version in ("", one["version"])
    }


class DkmsFailures(Fact[list[Failure]]):
    """
    The builds of NVIDIA's modules that failed, by dkms's own logs; ABSENT where there is no dkms.

    A module that dkms has for the kernel is none of them. dkms keeps one log per module and
    version: of several kernels it failed for, only the last is told.

    ``[{"module": "nvidia-current-open", "version": "550.163.01", "kernel":
    "6.12.118+deb13-amd64", "error": "nvidia/nv-pci.c:237:9: error: too few arguments to …"}]``
    """

    def command(self) -> StringCommand:
        return framed(_FAILED)

    def parse(self, lines: list[str], code: int) -> list[Failure] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("the logs of dkms cannot be read")
        found: list[Failure] = []
        for line in filter(str.strip, lines):
            module, version, kernel, error = line.split(" ", 3)
            found.append(Failure(module=module, version=version, kernel=kernel, error=error))
        return found


class DkmsStatus(Fact[list[Built]]):
    """
    What dkms says of its modules; ABSENT where there is no dkms.

    ``[{"module": "nvidia-current", "version": "550.163.01", "kernel": "6.12.117+deb13-amd64",
    "arch": "x86_64", "state": "installed", "differs": False}]``
    """

    def command(self) -> StringCommand:
        return framed("tool dkms dkms || exit 3; LC_ALL=C dkms status 2>/dev/null")

    def parse(self, lines: list[str], code: int) -> list[Built] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"dkms status ended with {code}")
        found: list[Built] = []
        for line in filter(str.strip, lines):
            said = _LINE.fullmatch(line)
            if said is None:
                return Unknown(f"dkms printed: {line}")
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
