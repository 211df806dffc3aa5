"""The GSP firmware that the module loads into the GPU: of its own version, from packages."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.driver.kernel_modules import KernelModules
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.shared.packages import APT, ENVIRONMENT
from gpurig.stack.model import Flavour

# GPUs before Turing have no GSP; the open module drives only those that have one.
WITHOUT_GSP = ("kepler", "maxwell", "pascal", "volta")


def needs_gsp(flavour: Flavour, architectures: Iterable[str | None]) -> bool:
    """Whether a module of this flavour loads GSP firmware for GPUs of these architectures."""
    return flavour == "open" or any(one not in WITHOUT_GSP for one in architectures)


@keeps("driver.firmware")
def firmware(needed: bool) -> Generator[StringCommand, None, None]:
    """
    Each firmware file that the module of a kernel that may boot next names is there.

    + needed: whether this host's GPUs load it, by `needs_gsp`
    """
    if not needed:
        return holds("these GPUs have no GSP to load firmware into")
    kernel = read(Kernel)
    if isinstance(kernel, Unknown):
        return unknown(kernel.reason)
    assert isinstance(kernel, dict)
    found = read(KernelModules, releases=" ".join(kernel["may_boot"]))
    if isinstance(found, Unknown | Absent):
        return unknown("the modules of the kernels could not be looked up")
    modules = [one for one in found if one["resolved"]]
    if not modules:
        return follows("driver.module-for-next-boot")
    missing = sorted({image for one in modules for image in one["missing"]})
    wanted = sorted({image for one in modules for image in one["firmware"]})
    if not missing:
        return holds(", ".join(wanted) or "the module asks for no firmware")
    drift(
        actual=f"/lib/firmware has no {', '.join(missing)}",
        wanted="the firmware of the module's version",
        will="reinstall the package that brings it",
    )
    for version in sorted({image.split("/")[1] for image in missing if image.count("/") > 1}):
        yield StringCommand(
            _restored(version, [image for image in missing if f"/{version}/" in image])
        )


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
