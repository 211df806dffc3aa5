"""The GSP firmware that the module loads into the GPU: of its own version, from packages."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.driver.modules import loadable
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT
from gpurig.stack.model import Flavour

# GPUs before Turing have no GSP; the open module drives only those that have one.
WITHOUT_GSP = ("kepler", "maxwell", "pascal", "volta")


def needs_gsp(flavour: Flavour, architectures: Iterable[str | None]) -> bool:
    """Whether a module of this flavour loads GSP firmware for GPUs of these architectures."""
    return flavour == "open" or any(one not in WITHOUT_GSP for one in architectures)


@keeps("driver.firmware")
def firmware(needed: bool) -> Commands:
    """
    Each firmware file that the module of a kernel that may boot next names is there.

    + needed: whether this host's GPUs load it, by `needs_gsp`
    """
    if not needed:
        return holds("these GPUs have no GSP, and need no firmware")
    modules = loadable(known(Kernel)["may_boot"])
    missing = sorted({image for one in modules for image in one["missing"]})
    wanted = sorted({image for one in modules for image in one["firmware"]})
    if not missing:
        return holds(", ".join(wanted) or "the module needs no firmware")
    drift(
        actual=f"/lib/firmware has no {', '.join(missing)}",
        wanted="the firmware of the module's version",
        will="reinstall the package of the firmware",
    )
    for version, images in _by_version(missing).items():
        yield StringCommand(_restored(version, images))


def _by_version(images: Iterable[str]) -> dict[str, list[str]]:
    """Firmware files by the version in their path, ``nvidia/550.163.01/gsp_tu10x.bin``."""
    found: dict[str, list[str]] = {}
    for image in images:
        version = image.rpartition("/")[0].rpartition("/")[2]
        found.setdefault(version, []).append(image)
    return dict(sorted(found.items()))


def _restored(version: str, images: list[str]) -> str:
    """Shell that reinstalls whose these files are; of Debian's package where no package has one."""
    own = " ".join(shlex.quote(f"*/firmware/{image}") for image in images)
    there = " && ".join(f"[ -s {shlex.quote(f'/lib/firmware/{image}')} ]" for image in images)
    return (
        f"p=$(dpkg-query -S {own} 2>/dev/null | sed 's/:.*//' | sort -u);"
        ' [ -n "$p" ] || p=$(apt-cache madison firmware-nvidia-gsp 2>/dev/null |'
        f" sed -n 's/^ *\\([^ |]*\\) *| *\\({version}-[^ |]*\\) *|.*/\\1=\\2/p' | head -n 1);"
        ' [ -n "$p" ] || { echo "E: no package brings the firmware of'
        f' {version}" >&2; exit 1; }};'
        f' set -- $p; {ENVIRONMENT} {APT} install --reinstall --no-install-recommends "$@" &&'
        f' {{ {there} || {{ echo "E: $p of {version} is no longer in the repositories" >&2;'
        " exit 1; }; }"
    )
