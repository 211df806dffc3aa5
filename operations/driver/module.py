"""The NVIDIA driver: its module for the next boot, its services, and what is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, left_out, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.driver.dkms import ERROR, DkmsFailures
from gpurig.facts.driver.kernel_modules import KernelModule, KernelModules
from gpurig.facts.driver.module import DriverLoaded, DriverUserSpace, Module, ModuleForNextBoot
from gpurig.facts.driver.mok import Mok
from gpurig.facts.driver.persistenced import PersistencedUser
from gpurig.facts.driver.secure_boot import SecureBoot
from gpurig.facts.host.systemd import Units
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.driver.module_signature import judged
from gpurig.operations.shared.packages import APT, ENVIRONMENT
from gpurig.operations.shared.systemd import lacking, running
from gpurig.stack.model import Flavour

Commands = Generator[StringCommand, None, None]

PERSISTENCED = "nvidia-persistenced.service"


@keeps("driver.module-for-next-boot")
def module_for_next_boot(dkms: str, flavour: Flavour, boot: str = "newest") -> Commands:
    """
    Each kernel that may boot next finds the module by its name, in the libraries' version.

    + dkms: dkms's name of the module, ``nvidia-current``
    + flavour: ``open`` or ``proprietary``
    + boot: ``with-driver`` where another kernel than the newest may be kept as the boot default

    apt's word is not taken for it: a module that did not build leaves its package "installed".
    """
    kernel, libraries, failures = read(Kernel), read(DriverUserSpace), read(DkmsFailures)
    for fact in (kernel, libraries, failures):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(libraries, Absent):
        return follows("driver.packages")
    assert isinstance(kernel, dict)
    assert isinstance(libraries, dict)
    if not kernel["may_boot"]:
        return follows("kernel.headers")
    modules = read(KernelModules, releases=" ".join(kernel["installed"]))
    if isinstance(modules, Unknown | Absent):
        return unknown("the modules of the installed kernels could not be looked up")
    version = libraries["libcuda"]
    fits = {one["release"] for one in modules if _is(one["resolved"], version, flavour)}
    wrong = [one for one in modules if one["release"] in kernel["may_boot"]]
    wrong = [one for one in wrong if one["release"] not in fits]
    if not wrong:
        return holds(f"{', '.join(kernel['may_boot'])} find nvidia, {flavour}, {version}")
    builds = failures if isinstance(failures, list) else []
    failed = {
        one["kernel"]: one["error"]
        for one in builds
        if (one["module"], one["version"]) == (dkms, version)
    }
    newest = kernel["installed"][-1]
    if boot == "with-driver" and newest in failed and fits:
        if kernel["next"] not in fits:
            return follows("driver.boot-kernel")
        return due(
            f"the module does not build for {newest} ({failed[newest]}); {kernel['next']}, which"
            " has it, is kept as the boot default"
        )
    drift(
        actual="; ".join(_told(one) for one in wrong),
        wanted=f"{flavour}, {version}",
        will=f"build and install {dkms} {version} for {', '.join(one['release'] for one in wrong)}",
    )
    for one in wrong:
        yield StringCommand(_built(dkms, version, one["release"]))


def _is(module: Module | None, version: str, flavour: Flavour) -> bool:
    return module is not None and (module["version"], module["flavour"]) == (version, flavour)


def _told(one: KernelModule) -> str:
    module = one["resolved"]
    if module is None:
        return f"{one['release']} finds no module nvidia"
    return f"{one['release']} finds {module['path']}, {module['flavour']}, {module['version']}"


def _built(dkms: str, version: str, release: str) -> str:
    """Shell that installs a module by dkms, building it where need be; the first error is told."""
    name = f"-m {shlex.quote(dkms)} -v {shlex.quote(version)} -k {shlex.quote(release)}"
    folder = f"/var/lib/dkms/{shlex.quote(dkms)}/{shlex.quote(version)}/build"
    log = f"{folder}/make.log"
    return (
        # What dkms takes for installed may be gone from the tree; it only looks after this.
        f"{ENVIRONMENT} dkms uninstall {name} >/dev/null 2>&1;"
        f" {ENVIRONMENT} dkms install --force {name} && depmod {shlex.quote(release)} ||"
        f" {{ said=$(grep -m 1 -E '{ERROR}' {log} || echo dkms failed);"
        f' echo "E: {shlex.quote(release)}: ${{said#{folder}/}}, see {log}" >&2; exit 1; }}'
    )


@keeps("driver.persistenced")
def persistenced(starts: bool) -> Commands:
    """
    The persistence daemon keeps the driver initialised from boot on, under its own account.

    + starts: whether it runs now, too; it cannot without a GPU that is really there
    """
    units, account = read(Units, units=PERSISTENCED), read(PersistencedUser)
    if isinstance(units, Unknown):
        return unknown(units.reason)
    if isinstance(account, Unknown):
        return unknown(account.reason)
    if isinstance(units, Absent):
        return left_out("driver.persistenced", "systemd does not run here; its package enables it")
    if units[PERSISTENCED]["load"] == "not-found":
        return follows("driver.packages")
    if isinstance(account, dict) and not account["there"]:
        if not account["package"]:
            return unknown(f"its account {account['user']} is gone, and no package makes it")
        drift(
            actual=f"its account {account['user']} is gone",
            wanted=f"{PERSISTENCED} runs as {account['user']}",
            will=f"reinstall {account['package']}, which makes the account",
        )
        yield StringCommand(f"{ENVIRONMENT} {APT} install --reinstall {account['package']}")
        if starts and _is_loaded():
            yield from running(units, [PERSISTENCED])
        return
    if not starts:
        units = {PERSISTENCED: units[PERSISTENCED] | {"active": "active"}}
    elif not _is_loaded():
        return follows("driver.loaded")
    wrong = lacking(units)
    if not wrong:
        return holds(f"{PERSISTENCED} is enabled" + (" and active" if starts else ""))
    drift(
        actual=", ".join(wrong),
        wanted=f"{PERSISTENCED} is enabled" + (" and active" if starts else ""),
        will="enable and start it" if starts else "enable it",
    )
    yield from running(units, [PERSISTENCED])


def _is_loaded() -> bool:
    loaded = read(DriverLoaded)
    return isinstance(loaded, dict) and bool(loaded["version"])


def _is_trusted(release: str) -> bool:
    """Whether the kernel that runs takes this module under Secure Boot."""
    modules, keys = read(KernelModules, releases=release), read(Mok)
    if not isinstance(modules, list) or not isinstance(keys, dict):
        return False
    return all(judged(one, keys) == "trusted" for one in modules)


@keeps("driver.loaded")
def loaded() -> Commands:
    """The module that is loaded is the one on disk; only a reboot changes one that is in use."""
    now, libraries, secure_boot = read(DriverLoaded), read(DriverUserSpace), read(SecureBoot)
    for fact in (now, libraries):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(libraries, Absent):
        return follows("driver.packages")
    assert isinstance(now, dict)
    assert isinstance(libraries, dict)
    version = libraries["libcuda"]
    if now["version"] == version:
        return holds(f"{version} is loaded")
    if now["version"]:
        return due(f"reboot: {now['version']} is loaded, {version} is on disk")
    if now["nouveau"]:
        return due("reboot: nouveau has the GPU until then")
    if now["here"] != version:
        module = read(ModuleForNextBoot)
        if isinstance(module, dict) and module["resolved"] is None:
            return follows("driver.module-for-next-boot")
        return due(f"reboot: the module is not built for the running kernel {now['running']}")
    if secure_boot == "enabled" and not _is_trusted(now["running"]):
        return follows("driver.module-signature")
    drift(actual="no NVIDIA module is loaded", wanted=f"{version} loaded", will="load the module")
    yield StringCommand("modprobe nvidia")
