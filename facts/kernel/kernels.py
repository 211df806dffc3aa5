"""The kernel that runs, the one that boots next, and the headers to build modules for them."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.kernel.grub import GRUB, default

# What boot loaders pass over too: saved copies, rescue images, what dpkg is about to rename.
_KERNELS = r"""
printf 'running %s\n' "$(uname -r)"
for image in /boot/vmlinuz-*; do
    case $image in *.old|*.bak|*.dpkg-*|*.rpm*|*-rescue-*) continue ;; esac
    [ -s "$image" ] && printf 'installed %s\n' "${image#/boot/vmlinuz-}"
done | LC_ALL=C sort -V || exit 1
for build in /lib/modules/*/build; do
    [ -d "$build/include" ] || continue  # dkms asks the same
    build=${build#/lib/modules/}
    printf 'headers %s\n' "${build%/build}"
done
"""


class Kernels(TypedDict):
    """Releases as in ``uname -r``; ``installed`` is in version order, oldest first."""

    running: str
    next: str | None
    installed: list[str]
    headers: list[str]


class BootKernels(Kernels):
    """Also ``may_boot``: the one that boots next and the newest, for which modules must be."""

    may_boot: list[str]


class Kernel(Always[BootKernels]):
    """
    The kernels of this host.

    ``{"running": "6.12.57+deb13-amd64", "next": "6.12.117+deb13-amd64", "installed": […],
    "headers": […], "may_boot": […]}``: ``next`` is GRUB's default where that can be read, else the
    newest in /boot, or ``None`` where /boot has none (a container, or a kernel given by the
    hypervisor); ``headers`` lists the releases that a module can be built for.
    """

    def command(self) -> StringCommand:
        return framed(f"{_KERNELS}{GRUB}")

    def parse(self, lines: list[str], code: int) -> BootKernels | Unknown:
        found: dict[str, list[str]] = {"running": [], "installed": [], "headers": [], "grub": []}
        for line in lines:
            kind, release = line.split(" ", 1)
            found[kind].append(release)
        if code or not any(found["running"]):
            return Unknown("gpurig cannot list the installed kernels")
        installed = found["installed"]
        newest = installed[-1] if installed else None
        chosen = default(lines)
        following = chosen if chosen in installed else newest
        return {
            "running": found["running"][0],
            "next": following,
            "installed": installed,
            "headers": found["headers"],
            "may_boot": [one for one in installed if one in (following, newest)],
        }


class Architecture(Always[str]):
    """The machine's architecture as the kernel calls it: ``"x86_64"``, ``"aarch64"`` …"""

    def command(self) -> StringCommand:
        return framed("uname -m")

    def parse(self, lines: list[str], code: int) -> str | Unknown:
        if code or len(lines) != 1 or not lines[0].replace("_", "").isalnum():
            return Unknown("uname -m did not answer")
        return lines[0]
