"""Secure Boot: NVIDIA's module is signed by a key that the machine's owner enrolled."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known, sure
from gpurig.contract.promise import Commands, Ended, drift, due, holds, keeps, left_out
from gpurig.contract.values import Unknown
from gpurig.facts.driver.kernel_modules import KernelModule
from gpurig.facts.driver.mok import Keys, Mok
from gpurig.facts.driver.secure_boot import SecureBoot
from gpurig.facts.host.virtualization import Virtualization
from gpurig.facts.kernel.kernels import Kernel
from gpurig.operations.driver.modules import loadable
from gpurig.operations.shared.apt_get import ENVIRONMENT
from gpurig.operations.shared.packages import install

State = Literal["trusted", "unsigned", "not-enrolled", "pending", "foreign"]


def judged(module: KernelModule, keys: Keys) -> State:
    """
    Whether the kernel takes this module when Secure Boot is on.

    ``foreign``: it is signed, by a key that is neither dkms's present one nor enrolled. A key of
    the kernel's own is known by its name; dkms's keys all have one name, so the number decides.
    """
    if not module["signer"]:
        return "unsigned"
    if module["key"] in keys["enrolled"]:
        return "trusted"
    if module["key"] in keys["pending"]:
        return "pending"
    if module["key"] == keys["serial"]:
        return "not-enrolled"
    named = module["signer"] in keys["trusted"] and "DKMS" not in module["signer"]
    return "trusted" if named else "foreign"


@keeps("driver.module-signature")
def module_signature(dkms: str) -> Commands:
    """
    Where Secure Boot is on, the module is signed by an enrolled key. It is never switched off.

    + dkms: dkms's name of the module

    Only a person at the console can enrol a key; all that can be done before is done here.
    """
    secure, kernel, keys = _secure_boot(), known(Kernel), read(Mok)
    if secure != "enabled":
        return holds(f"Secure Boot is {secure}; the kernel loads modules without a signature")
    keys, modules = sure(keys), loadable(kernel["may_boot"])
    states = {one["release"]: judged(one, keys) for one in modules}
    if set(states.values()) == {"trusted"}:
        return holds(f"signed with the enrolled key {_signers(modules)}")
    wrong = [one for one in modules if states[one["release"]] in ("unsigned", "foreign")]
    if alien := _alien(wrong):
        return due(alien)
    lacks = not keys["mokutil"]
    if not wrong and not lacks:
        return due(_steps(keys["certificate"], "pending" in states.values()))
    actual = [f"the module of {one['release']} is {states[one['release']]}" for one in wrong]
    steps = [f"build {dkms} for {one['release']} again, with a signature" for one in wrong]
    drift(
        actual=", ".join(actual + ["mokutil is not installed"] * lacks),
        wanted=f"signed with dkms's key {keys['certificate']}, and mokutil installed to enroll it",
        will=" and ".join(steps + ["install mokutil"] * lacks) + "; you then enroll the key",
    )
    if lacks:
        yield install(["mokutil"])
    yield from _signed(dkms, wrong)


def _signers(modules: Sequence[KernelModule]) -> str:
    return ", ".join(sorted({one["signer"] for one in modules if one["signer"]}))


def _secure_boot() -> str:
    """Whether it is on; a container, which does not see it, ends the operation as left out."""
    secure, inside = read(SecureBoot), read(Virtualization)
    if isinstance(secure, Unknown) and isinstance(inside, dict) and inside["kind"] == "container":
        left_out("driver.module-signature", "a container cannot read the firmware of its machine")
        raise Ended
    return sure(secure)


def _alien(wrong: Sequence[KernelModule]) -> str:
    """What a person does about a module that dkms did not build and cannot sign; else empty."""
    for one in wrong:
        if one["resolved"] and "/dkms/" not in one["resolved"]["path"]:
            return (
                f"{one['signer'] or 'an unknown key'} has signed the module of"
                f" {one['release']}, which dkms did not build; enroll that"
                " key with mokutil --import and its certificate"
            )
    return ""


def _signed(dkms: str, modules: Sequence[KernelModule]) -> Commands:
    """Build these anew: dkms makes its key where there is none, and signs what it builds."""
    for one in modules:
        assert one["resolved"]
        name = (
            f"-m {shlex.quote(dkms)} -v {shlex.quote(one['resolved']['version'])}"
            f" -k {shlex.quote(one['release'])}"
        )
        yield StringCommand(
            f"{ENVIRONMENT} dkms build --force {name} && {ENVIRONMENT} dkms install --force {name}"
        )


def _steps(certificate: str, pending: bool) -> str:
    """What a person does to enrol the key."""
    console = (
        "reboot, choose Enroll MOK, Continue, Yes on the blue"
        " screen at the console, and type the password"
    )
    if pending:
        return f"confirm the key: {console} that you gave to mokutil --import"
    return (
        "Secure Boot loads only modules that an enrolled key has"
        f" signed. Run mokutil --import {certificate} (it asks for a"
        f" new password, for one use), {console}"
    )
