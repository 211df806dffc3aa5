"""The NVIDIA driver: its module for the next boot, its services, and what is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Sequence

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps, left_out
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.dkms import ERROR, DkmsFailures, failed_for
from gpurig.facts.driver.kernel_modules import KernelModule, KernelModules
from gpurig.facts.driver.module import DriverLoaded, DriverUserSpace, ModuleForNextBoot
from gpurig.facts.driver.mok import Mok
from gpurig.facts.driver.persistenced import Daemon, PersistencedUser
from gpurig.facts.driver.secure_boot import SecureBoot
from gpurig.facts.host.systemd import Units
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.driver.libraries import own_first
from gpurig.operations.driver.modprobe import loads_first
from gpurig.operations.driver.module_signature import judged
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT
from gpurig.operations.shared.systemd import lacking, masked, running, told_masked
from gpurig.operations.shared.words import those
from gpurig.stack.model import Flavour

PERSISTENCED = "nvidia-persistenced.service"


@keeps("driver.module-for-next-boot")
def module_for_next_boot(dkms: str, flavour: Flavour, boot: str = "newest") -> Commands:
    """
    Each kernel that may boot next finds the module by its name, in the libraries' version.

    + dkms: dkms's name of the module, ``nvidia-current``; empty where packages bring it built
    + flavour: ``open`` or ``proprietary``
    + boot: ``with-driver`` where another kernel than the newest may be kept as the boot default

    apt's word is not taken for it: a module that did not build leaves its package "installed".
    """
    own_first()
    kernel, libraries, failures = known(Kernel), known(DriverUserSpace), known(DkmsFailures)
    if libraries is ABSENT:
        return follows("driver.packages")
    if not kernel["may_boot"]:
        return follows("kernel.headers")
    modules = known(KernelModules, releases=" ".join(kernel["installed"]))
    version = libraries["libcuda"]
    fits = _fitting(modules, version, flavour)
    lacking = [release for release in kernel["may_boot"] if release not in fits]
    if not lacking:
        return holds(f"{', '.join(kernel['may_boot'])} find nvidia, {flavour}, {version}")
    loads_first()
    newest, following = kernel["installed"][-1], kernel["next"]
    error = failed_for(failures, dkms, version).get(newest)
    if boot == "with-driver" and error is not None and fits:
        if following not in fits:
            return follows("driver.boot-kernel")
        return due(
            f"the module does not build for {newest} ({error});"
            f" {following}, which has it, stays the boot default"
        )
    if not dkms:
        return due(
            f"{'; '.join(_told(modules, lacking))}, and the signed modules that are installed are"
            f" not for it; install linux-modules-nvidia-… of {version} for {', '.join(lacking)}"
        )
    drift(
        actual="; ".join(_told(modules, lacking)),
        wanted=f"{flavour}, {version}",
        will=f"build and install {dkms} {version} for {', '.join(lacking)}",
    )
    for release in lacking:
        yield StringCommand(_built(dkms, version, release))


def _fitting(modules: Sequence[KernelModule], version: str, flavour: Flavour) -> set[str]:
    """The kernels that find a module of this version and flavour."""
    found = {one["release"]: one["resolved"] for one in modules}
    return {
        release
        for release, module in found.items()
        if module and (module["version"], module["flavour"]) == (version, flavour)
    }


def _told(modules: Sequence[KernelModule], releases: Container[str]) -> Iterator[str]:
    """What these kernels find instead."""
    for one in modules:
        if one["release"] in releases:
            found = one["resolved"]
            what = "{path}, {flavour}, {version}".format(**found) if found else "no module nvidia"
            yield f"{one['release']} finds {what}"


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
def persistenced(starts: bool, unmask: bool = True) -> Commands:
    """
    The persistence daemon keeps the driver initialised from boot on, under its own account.

    + starts: whether it runs now, too; it cannot without a GPU that is really there
    + unmask: also where somebody masked it, who then did not want it to run
    """
    units, account = known(Units, units=PERSISTENCED), known(PersistencedUser)
    if units is ABSENT:
        return left_out(
            "driver.persistenced", "systemd is not running here; the daemon's package enables it"
        )
    if units[PERSISTENCED]["load"] == "not-found":
        return follows("driver.packages")
    hidden = [] if unmask else masked(units)
    if account is not ABSENT and not account["there"]:
        yield from _account_back(account)
        if starts and not hidden and _is_loaded():
            yield from running(units, [PERSISTENCED])
        return
    if not starts:
        units = {PERSISTENCED: units[PERSISTENCED] | {"active": "active"}}
    elif not _is_loaded():
        return follows("driver.loaded")
    wrong, goal = lacking(units), f"{PERSISTENCED} is enabled" + " and active" * starts
    if not wrong:
        return holds(goal)
    if hidden:
        return due(told_masked(hidden, "driver"))
    steps = {"unmask it": masked(units), "enable it": True, "start it": starts}
    drift(actual=", ".join(wrong), wanted=goal, will=" and ".join(those(steps)))
    yield from running(units, [PERSISTENCED])


def _account_back(account: Daemon) -> Commands:
    """The account comes back with the package that makes it."""
    if not account["package"]:
        ends_unknown(f"its account {account['user']} is missing, and no package makes it")
    drift(
        actual=f"its account {account['user']} is missing",
        wanted=f"{PERSISTENCED} runs as {account['user']}",
        will=f"reinstall {account['package']}, which makes the account",
    )
    yield StringCommand(f"{ENVIRONMENT} {APT} install --reinstall {account['package']}")


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
    own_first()
    now, libraries, secure_boot = known(DriverLoaded), known(DriverUserSpace), read(SecureBoot)
    if libraries is ABSENT:
        return follows("driver.packages")
    version = libraries["libcuda"]
    if now["version"] == version:
        return holds(f"{version} is loaded")
    if now["version"]:
        return due(f"reboot: module {now['version']} is loaded, {version} is installed")
    if now["nouveau"]:
        return due("reboot: nouveau uses the GPU until then")
    if now["here"] != version:
        module = read(ModuleForNextBoot)
        if isinstance(module, dict) and module["resolved"] is None:
            return follows("driver.module-for-next-boot")
        return due(f"reboot: the module is not built for the running kernel {now['running']}")
    if secure_boot == "enabled" and not _is_trusted(now["running"]):
        return follows("driver.module-signature")
    drift(actual="no NVIDIA module is loaded", wanted=f"{version} loaded", will="load the module")
    yield StringCommand("modprobe nvidia")
