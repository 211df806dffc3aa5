"""The kernel that boots by default: the newest, or the newest that has the module."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.driver.dkms import DkmsFailures
from gpurig.facts.driver.kernel_modules import KernelModule, KernelModules
from gpurig.facts.driver.module import DriverUserSpace
from gpurig.facts.kernel.grub import DROP_IN, Boot, Grub
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import ENVIRONMENT

Commands = Generator[StringCommand | FileUploadCommand, None, None]

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
    kernel, libraries, grub = read(Kernel), read(DriverUserSpace), read(Grub)
    failures = read(DkmsFailures)
    for fact in (kernel, libraries, grub, failures):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(libraries, Absent):
        return follows("driver.packages")
    assert isinstance(kernel, dict)
    assert isinstance(libraries, dict)
    if not kernel["installed"]:
        return holds("there is no kernel in /boot to choose from")
    modules = read(KernelModules, releases=" ".join(kernel["installed"]))
    if isinstance(modules, Unknown | Absent):
        return unknown("the modules of the installed kernels could not be looked up")
    working = with_module(modules, libraries["libcuda"])
    menu = grub if isinstance(grub, dict) else None
    newest, default = kernel["installed"][-1], kernel["next"]
    if menu and menu["ours"] and (newest in working or boot == "newest"):
        has = "has" if newest in working else "has not"
        drift(
            actual=f"{default} is the boot default, and the newest, {newest}, {has} the module",
            wanted="the boot default as without gpurig",
            will=f"remove {DROP_IN} and run update-grub",
        )
        yield StringCommand(f"rm -f {DROP_IN}")
        yield UPDATE
        return
    if default in working:
        if menu is None or not menu["ours"] or menu["entries"].get(str(default)) == menu["ours"]:
            return holds(f"{default} is the boot default and has the module")
    elif newest in working:
        return due(
            f"GRUB boots {default} by default, which has no module; {newest} has it: make it"
            " GRUB_DEFAULT, or remove that setting, and run update-grub"
        )
    builds = failures if isinstance(failures, list) else []
    failed = {one["kernel"]: one["error"] for one in builds if one["module"] == dkms}
    if not working or newest not in failed:
        return follows("driver.module-for-next-boot")
    kept, why = working[-1], f"the module does not build for {newest} ({failed[newest]})"
    if boot != "with-driver":
        return due(
            f"{why}; {kept} has it: choose that one in the boot menu, or set"
            ' rig_boot_kernel = "with-driver" to keep it as the boot default'
        )
    yield from _kept(kept, why, newest, menu)


def _kept(kept: str, why: str, newest: str, menu: Boot | None) -> Commands:
    """Make this kernel GRUB's default until the newest has the module."""
    if menu is None or kept not in menu["entries"] or not menu["update"]:
        return due(
            f"{why}; {kept} has it, and only GRUB's default can be set here: make it the default"
            " of this host's boot loader"
        )
    drift(
        actual=f"{newest} boots next, and {why}",
        wanted=f"{kept} is the boot default, the newest that has the module",
        will=f"write {DROP_IN} and run update-grub",
        leaves=f"/etc/default/grub, and {newest} in the boot menu",
    )
    yield from written(DROP_IN, TEXT.format(entry=menu["entries"][kept]))
    yield UPDATE
