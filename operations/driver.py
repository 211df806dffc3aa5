"""The NVIDIA driver: its module for the next boot, its services, and what is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra.api import StringCommand

from gpurig.fact import read
from gpurig.facts.nvidia import DriverLoaded, DriverUserSpace, ModuleForNextBoot
from gpurig.facts.secure_boot import SecureBoot
from gpurig.facts.systemd import Units
from gpurig.operations.packages import ENVIRONMENT
from gpurig.operations.systemd import lacking, running
from gpurig.promise import drift, due, follows, holds, keeps, left_out, unknown
from gpurig.stack.model import Flavour
from gpurig.values import Absent, Unknown

Commands = Generator[StringCommand, None, None]

PERSISTENCED = "nvidia-persistenced.service"


@keeps("driver.module-for-next-boot")
def module_for_next_boot(dkms: str, flavour: Flavour) -> Commands:
    """
    The kernel that boots next finds the module by its name: this flavour, the libraries' version.

    + dkms: dkms's name of the module, ``nvidia-current``
    + flavour: ``open`` or ``proprietary``

    apt's word is not taken for it: a module that did not build leaves its package "installed".
    """
    module, libraries = read(ModuleForNextBoot), read(DriverUserSpace)
    for fact in (module, libraries):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(libraries, Absent) or isinstance(module, Absent):
        return follows("driver.packages" if isinstance(libraries, Absent) else "kernel.headers")
    assert isinstance(module, dict)
    assert isinstance(libraries, dict)
    release, found, version = module["release"], module["resolved"], libraries["libcuda"]
    if found and (found["version"], found["flavour"]) == (version, flavour):
        return holds(f"{release} finds {found['path']}, {flavour}, {version}")
    drift(
        actual=f"{release} finds no module nvidia"
        if not found
        else f"{release} finds {found['path']}, {found['flavour']}, {found['version']}",
        wanted=f"{flavour}, {version}",
        will=f"build and install {dkms} {version} for {release}",
    )
    yield StringCommand(_built(dkms, version, release))


def _built(dkms: str, version: str, release: str) -> str:
    """Shell that installs a module by dkms, building it where need be; the first error is told."""
    name = f"-m {shlex.quote(dkms)} -v {shlex.quote(version)} -k {shlex.quote(release)}"
    log = f"/var/lib/dkms/{shlex.quote(dkms)}/{shlex.quote(version)}/build/make.log"
    return (
        # What dkms takes for installed may be gone from the tree; it only looks after this.
        f"{ENVIRONMENT} dkms uninstall {name} >/dev/null 2>&1;"
        f" {ENVIRONMENT} dkms install --force {name} && depmod {shlex.quote(release)} ||"
        f" {{ echo \"E: $(grep -m 1 -E 'error:|Error ' {log} || echo dkms failed),"
        f' see {log}" >&2; exit 1; }}'
    )


@keeps("driver.persistenced")
def persistenced(starts: bool) -> Commands:
    """
    The persistence daemon keeps the driver initialised from boot on.

    + starts: whether it runs now, too; it cannot without a GPU that is really there
    """
    units = read(Units, units=PERSISTENCED)
    if isinstance(units, Unknown):
        return unknown(units.reason)
    if isinstance(units, Absent):
        return left_out("driver.persistenced", "systemd does not run here; its package enables it")
    if units[PERSISTENCED]["load"] == "not-found":
        return follows("driver.packages")
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
    module = read(ModuleForNextBoot)
    if isinstance(module, dict) and module["resolved"] is None:
        return follows("driver.module-for-next-boot")
    if now["here"] != version:
        return due(f"reboot: the module is not built for the running kernel {now['running']}")
    if secure_boot == "enabled":
        return due(
            "Secure Boot takes only modules signed by a key that is enrolled: run"
            " mokutil --import /var/lib/dkms/mok.pub, reboot, and confirm it on the console"
        )
    drift(actual="no NVIDIA module is loaded", wanted=f"{version} loaded", will="load the module")
    yield StringCommand("modprobe nvidia")
