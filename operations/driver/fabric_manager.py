"""The fabric manager: machines with NVSwitches compute only with it, of the driver's version."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.driver.fabric_manager import PIN, FabricManagerCandidates
from gpurig.facts.driver.module import DriverUserSpace
from gpurig.facts.host.systemd import Unit, Units
from gpurig.facts.packages.dpkg import Packages
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import APT, ENVIRONMENT, LOCK_SECONDS, install
from gpurig.operations.shared.systemd import lacking, running

UNIT = "nvidia-fabricmanager.service"

TEXT = """# Written by gpurig: the fabric manager works only with the driver of its own version.
Package: nvidia-fabricmanager*
Pin: version {version}*
Pin-Priority: 1001
"""


def upstream(version: str) -> str:
    """The driver's version in a package's: ``1:550.163.01-1`` is ``550.163.01``."""
    return version.rpartition(":")[2].split("-")[0]


@keeps("driver.fabric-manager")
def fabric_manager(
    package: str, starts: bool
) -> Generator[StringCommand | FileUploadCommand, None, None]:
    """
    The fabric manager has exactly the libraries' version, is held there, and runs.

    + package: its name, ``nvidia-fabricmanager-550``
    + starts: whether it runs now, too; it cannot without NVSwitches that are really there
    """
    libraries, found = read(DriverUserSpace), read(Packages, packages=package)
    offers = read(FabricManagerCandidates, package=package)
    units = read(Units, units=UNIT)
    for fact in (libraries, found, offers, units):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if isinstance(libraries, Absent):
        return follows("driver.packages")
    assert isinstance(libraries, dict)
    assert isinstance(found, dict)
    assert isinstance(offers, dict)
    version = libraries["libcuda"]
    has = found.get(package)
    there = has is not None and has["state"] == "installed"
    right = there and has is not None and upstream(has["version"]) == version
    if has and has["held"] and not right:
        return unknown(f"{package} is on hold; run apt-mark unhold to let it be moved")
    pinned = offers["pin"] == TEXT.format(version=version)
    off = _lacking(units, starts) if right and isinstance(units, dict) else []
    if right and pinned and not off:
        return holds(f"{package} {version}, held there, " + ("runs" if starts else "enabled"))
    wrong = [] if right else [f"{package} is {has['version'] if there and has else 'missing'}"]
    wrong += [] if pinned else ["it is not held at the driver's version"]
    does = [] if pinned else [f"write {PIN}"]
    does += [] if right else [f"install {package} of {version}"]
    drift(
        actual=", ".join(wrong + off),
        wanted=f"{package} {version}, held there, enabled" + (" and active" if starts else ""),
        will=" and ".join(does + (["enable it"] if off else [])),
        leaves="the driver, which is never moved for it",
    )
    if not pinned:
        yield from written(PIN, TEXT.format(version=version))
    if not right:
        yield _exactly(package, version, offers["versions"])
    if isinstance(units, dict) and right:
        yield from running(_shown(units, starts), [UNIT])
    elif isinstance(units, dict):
        now = " --now" if starts else ""
        yield StringCommand(f"systemctl enable{now} {UNIT}")
        if there and starts:
            yield StringCommand(f"systemctl restart {UNIT}")


def _shown(units: dict[str, Unit], starts: bool) -> dict[str, Unit]:
    return units if starts else {UNIT: units[UNIT] | {"active": "active"}}


def _lacking(units: dict[str, Unit], starts: bool) -> list[str]:
    return lacking(_shown(units, starts))


def _exactly(package: str, version: str, offered: list[str]) -> StringCommand:
    """Install the package of this upstream version, down if need be; fresh lists where it lacks."""
    fits = [one for one in offered if upstream(one) == version]
    if fits:
        return install([f"{package}={fits[0]}"], downgrade=True)
    return StringCommand(
        f"{ENVIRONMENT} apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} update &&"
        f" v=$(apt-cache madison {package} | sed 's/^[^|]*| *//; s/ *|.*//' |"
        f" grep -m 1 -E '^([0-9]+:)?{version}(-|$)') ||"
        f' {{ echo "E: no repository of this host has {package} of {version}" >&2; exit 1; }};',
        f'{ENVIRONMENT} {APT} install --allow-downgrades --no-install-recommends {package}="$v"',
    )
