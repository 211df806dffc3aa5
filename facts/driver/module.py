"""The NVIDIA driver: its module on disk, its libraries, and what is loaded."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.driver.initramfs import NEXT
from gpurig.facts.driver.modprobe import MODPROBE
from gpurig.facts.host.loader import LOADED

# Licences of nvidia.ko: NVIDIA/open-gpu-kernel-modules kernel-open/nvidia/nv.c, and Debian's
# 550.163.01 (nvidia-kernel-dkms).
FLAVOURS = {"Dual MIT/GPL": "open", "NVIDIA": "proprietary"}

# What `modprobe nvidia` would load for kernel $1. Debian's packages map the name by an install line
# ("install nvidia modprobe -i nvidia-current"), which a dry run shows and does not follow.
RESOLVE = r"""
resolve() {
    f=$(may modprobe --dry-run --show-depends --set-version "$1" nvidia |
        sed -n 's/^insmod \([^ ]*\).*/\1/p; s/^install .*modprobe -i \([^ ]*\).*/\1/p' |
        sed -n '/nvidia/p' | tail -n 1)
    case $f in ''|/*) ;; *) f=$(may modinfo -k "$1" -n "$f") ;; esac
    [ -n "$f" ] && [ -e "$f" ] && echo "$f"
}
"""

_LIBRARY = "printf '%s\\n' \"$loaded\" | sed -n 's/.*{0}[.]so[.]1 .*=> //p' | head -n 1"


class Module(TypedDict):
    """
    One kernel module file.

    + path: of the file; version: the driver's; flavour: ``open``, ``proprietary`` or a licence
    """

    path: str
    version: str
    flavour: str


class NextModule(TypedDict):
    """
    What the kernel that boots next has of NVIDIA.

    + release: that kernel's; resolved: what ``modprobe nvidia`` would load there, or ``None``
    """

    release: str
    resolved: Module | None


class ModuleForNextBoot(Fact[NextModule]):
    """
    The module that the kernel booting next finds under the name nvidia; ABSENT without a kernel.

    ``{"release": "6.12.117+deb13-amd64", "resolved": {"path": "/lib/modules/…/nvidia-current.ko",
    "version": "550.163.01", "flavour": "proprietary"}}``
    """

    def command(self) -> StringCommand:
        return framed(
            f'{RESOLVE}{NEXT}; [ -n "$k" ] || exit 3; echo "$k";'
            f" {MODPROBE} || exit 0;"
            ' f=$(resolve "$k") && echo "$f" && must modinfo -F version "$f" &&'
            ' must modinfo -F license "$f"; :'
        )

    def parse(self, lines: list[str], code: int) -> NextModule | Absent | Unknown:
        if code == 3:
            return ABSENT
        release, *rest = lines
        return NextModule(release=release, resolved=_module(rest) if len(rest) == 3 else None)


class Libraries(TypedDict):
    """Versions of the libraries that the loader finds, by their file names; empty: not found."""

    libcuda: str
    libnvidia_ml: str


class DriverUserSpace(Fact[Libraries]):
    """
    The driver's user space as programs find it; ABSENT without any of it.

    ``{"libcuda": "550.163.01", "libnvidia_ml": "550.163.01"}``
    """

    def command(self) -> StringCommand:
        return framed(
            LOADED
            + "; ".join(
                f'f=$({_LIBRARY.format(name)}); r=$([ -n "$f" ] && readlink -f "$f");'
                f' echo "{name} ${{r##*.so.}}"'
                for name in ("libcuda", "libnvidia-ml")
            )
        )

    def parse(self, lines: list[str], code: int) -> Libraries | Absent | Unknown:
        found = dict(line.split(" ", 1) for line in lines)
        if not any(found.values()):
            return ABSENT
        return Libraries(libcuda=found["libcuda"], libnvidia_ml=found["libnvidia-ml"])


class Loaded(TypedDict):
    """
    What runs now.

    + version, flavour: of the loaded NVIDIA module, empty when none is
    + nouveau: whether nouveau is loaded
    + running: the running kernel's release
    + here: version of the module on disk for the running kernel, empty when there is none
    """

    version: str
    flavour: str
    nouveau: bool
    running: str
    here: str


class DriverLoaded(Always[Loaded]):
    """
    The modules that are loaded now.

    ``{"version": "550.163.01", "flavour": "open", "nouveau": False, "running": "6.12…",
    "here": "550.163.01"}``
    """

    def command(self) -> StringCommand:
        return framed(
            RESOLVE + "v=/sys/module/nvidia/version t=/proc/driver/nvidia/version;"
            ' echo "version $([ ! -e $v ] || cat $v)"; echo "told $([ ! -e $t ] || head -n 1 $t)";'
            ' [ -d /sys/module/nouveau ] && echo "nouveau yes"; echo "running $(uname -r)";'
            f' ! {MODPROBE} || f=$(resolve "$(uname -r)");'
            ' echo "here $([ -z "$f" ] || must modinfo -F version "$f")"'
        )

    def parse(self, lines: list[str], code: int) -> Loaded | Unknown:
        found = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines}
        flavour = "open" if "Open Kernel Module" in found["told"] else "proprietary"
        return Loaded(
            version=found["version"],
            flavour=flavour if found["version"] else "",
            nouveau="nouveau" in found,
            running=found["running"],
            here=found["here"],
        )


def _module(lines: list[str]) -> Module:
    path, version, license_ = lines
    return Module(path=path, version=version, flavour=FLAVOURS.get(license_, license_))
