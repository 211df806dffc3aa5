"""The kernel that boots by default: the newest, or the newest that has the module."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT, Absent
from gpurig.facts.driver.dkms import DkmsFailures, failed_for
from gpurig.facts.driver.kernel_modules import KernelModule, KernelModules
from gpurig.facts.driver.module import DriverUserSpace
from gpurig.facts.kernel.grub import DROP_IN, Boot, Grub
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.driver.libraries import own_first
from gpurig.operations.shared.apt_get import ENVIRONMENT
from gpurig.operations.shared.file import written

TEXT = """# Written by gpurig: the newest kernel has no working NVIDIA module, this one has.
# gpurig takes it back when the newest has one.
GRUB_DEFAULT="{entry}"
"""

UPDATE = StringCommand(f"{ENVIRONMENT} update-grub")


def with_module(modules: Sequence[KernelModule], version: str) -> list[str]:
    """The kernels, in the order given, that load a module of the libraries' version."""
    return [m["release"] for m in modules if m["resolved"] and m["resolved"]["version"] == version]


@keeps("driver.boot-kernel")
def boot_kernel(dkms: str, boot: str) -> Commands:
    """
    The kernel that boots by default has the module, or it is said which one has.

    + dkms: dkms's name of the module, ``nvidia-current``
    + boot: ``newest`` leaves the boot default alone; ``with-driver`` makes the newest kernel that
      has the module the default while the newest of all has none
    """
    own_first()
    kernel, libraries, grub = known(Kernel), known(DriverUserSpace), known(Grub)
    failures = known(DkmsFailures)
    if libraries is ABSENT:
        return follows("driver.packages")
    if not kernel["installed"]:
        return holds("/boot has no kernels")
    modules = known(KernelModules, releases=" ".join(kernel["installed"]))
    working = with_module(modules, libraries["libcuda"])
    newest, default = kernel["installed"][-1], str(kernel["next"])
    if grub and grub["ours"] and (newest in working or boot == "newest"):
        yield from _taken_back(default, newest, newest in working)
        return
    if default in working:
        if _settled(grub, default):
            return holds(f"{default} is the boot default and has the module")
    elif newest in working:
        return due(
            f"GRUB boots {default} by default, which has no module;"
            f" {newest} has it. Set GRUB_DEFAULT to {newest}, or remove"
            " GRUB_DEFAULT, then run update-grub"
        )
    error = failed_for(failures, dkms).get(newest)
    if not working or error is None:
        return follows("driver.module-for-next-boot")
    yield from _without_newest(working[-1], newest, error, grub, boot)


def _without_newest(kept: str, newest: str, error: str, menu: Boot | Absent, boot: str) -> Commands:
    """The module does not build for the newest kernel: what becomes of the newest that has it."""
    why = f"the module does not build for {newest} ({error})"
    if boot != "with-driver":
        return due(
            f"{why}; {kept} has it. Choose {kept} in the boot menu, or"
            ' set rig_boot_kernel = "with-driver" to keep it as the'
            " boot default"
        )
    yield from _kept(kept, why, newest, menu)


def _settled(menu: Boot | Absent, default: str) -> bool:
    """Whether GRUB's default is the user's, or what gpurig wrote for this very kernel."""
    return not menu or not menu["ours"] or menu["entries"].get(default) == menu["ours"]


def _taken_back(default: str, newest: str, has_module: bool) -> Commands:
    """GRUB's default is again what it was without gpurig."""
    has = "has" if has_module else "does not have"
    drift(
        actual=f"{default} is the boot default; the newest kernel, {newest}, {has} the module",
        wanted="the boot default that the host has without gpurig",
        will=f"remove {DROP_IN} and run update-grub",
    )
    yield StringCommand(f"rm -f {DROP_IN}")
    yield UPDATE


def _kept(kept: str, why: str, newest: str, menu: Boot | Absent) -> Commands:
    """Make this kernel GRUB's default until the newest has the module."""
    if not menu or kept not in menu["entries"] or not menu["update"]:
        return due(
            f"{why}; {kept} has it. gpurig can set only GRUB's default:"
            f" make {kept} the default of this host's boot loader"
            " yourself"
        )
    drift(
        actual=f"{newest} boots next, but {why}",
        wanted=f"{kept} is the boot default, the newest kernel with the module",
        will=f"write {DROP_IN} and run update-grub",
        leaves=f"/etc/default/grub, and {newest} in the boot menu",
    )
    yield from written(DROP_IN, TEXT.format(entry=menu["entries"][kept]))
    yield UPDATE
