"""The fabric manager: machines with NVSwitches compute only with it, of the driver's version."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT, Absent
from gpurig.facts.driver.fabric_manager import PIN, FabricManagerCandidates
from gpurig.facts.driver.module import DriverUserSpace
from gpurig.facts.driver.versions import upstream
from gpurig.facts.host.systemd import Unit, Units
from gpurig.facts.packages.dpkg import Package, Packages
from gpurig.operations.driver.libraries import own_first
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, UPDATED
from gpurig.operations.shared.file import written
from gpurig.operations.shared.packages import held, install, missing, movable
from gpurig.operations.shared.systemd import lacking, masked, running, told_masked
from gpurig.operations.shared.words import those

UNIT = "nvidia-fabricmanager.service"

TEXT = """# Written by gpurig: the fabric manager works only with the driver of its own version.
Package: nvidia-fabricmanager*
Pin: version {version}*
Pin-Priority: 1001
"""


@keeps("driver.fabric-manager")
def fabric_manager(package: str, starts: bool, unmask: bool = True) -> Commands:
    """
    The fabric manager has exactly the libraries' version, is held there, and runs.

    + package: its name, ``nvidia-fabricmanager-550``
    + starts: whether it runs now, too; it cannot without NVSwitches that are really there
    + unmask: also where somebody masked it, who then did not want it to run
    """
    own_first()
    libraries, found = known(DriverUserSpace), known(Packages, packages=package)
    offers, units = known(FabricManagerCandidates, package=package), known(Units, units=UNIT)
    if libraries is ABSENT:
        return follows("driver.packages")
    version = libraries["libcuda"]
    there = _version(found, package)
    right, pinned = upstream(there) == version, offers["pin"] == TEXT.format(version=version)
    if not right:
        movable(held(found))
    service = _shown(units, starts)
    hidden = masked(service)
    off = lacking(service) if right else []
    if right and pinned and not off:
        return holds(f"{package} {version}, pinned, " + ("runs" if starts else "enabled"))
    if right and pinned and hidden and not unmask:
        return due(told_masked(hidden, "driver"))
    wrong = {
        f"{package} is {there}": not right,
        "it is not pinned to the driver's version": not pinned,
    }
    steps = {
        f"write {PIN}": not pinned,
        f"install {package} of {version}": not right,
        "unmask it": hidden and unmask,
        "enable it": off,
    }
    drift(
        actual=", ".join(those(wrong) + off),
        wanted=f"{package} {version}, pinned, enabled" + " and active" * starts,
        will=" and ".join(those(steps)),
        leaves="the driver (gpurig does not move it for this)",
    )
    if not pinned:
        yield from written(PIN, TEXT.format(version=version))
    if not right:
        yield _exactly(package, version, offers["versions"])
    if hidden and not unmask:
        return
    if right:
        yield from running(service, list(service))
    elif service:
        yield from _started_anew(starts, was_there=there != "missing")


def _version(found: dict[str, Package], package: str) -> str:
    return "missing" if missing([package], found) else found[package]["version"]


def _shown(units: dict[str, Unit] | Absent, starts: bool) -> dict[str, Unit]:
    """The service as it counts: none without systemd, and active where it cannot start."""
    if not units:
        return {}
    return units if starts else {UNIT: units[UNIT] | {"active": "active"}}


def _started_anew(starts: bool, was_there: bool) -> Commands:
    """The service of a package that has just come runs; one of another version is restarted."""
    now = " --now" if starts else ""
    yield StringCommand(f"systemctl enable{now} {UNIT}")
    if was_there and starts:
        yield StringCommand(f"systemctl restart {UNIT}")


def _exactly(package: str, version: str, offered: list[str]) -> StringCommand:
    """Install the package of this upstream version, down if need be; fresh lists where it lacks."""
    fits = [one for one in offered if upstream(one) == version]
    if fits:
        return install([f"{package}={fits[0]}"], downgrade=True)
    return StringCommand(
        f"{UPDATED} updated;"
        f" v=$(apt-cache madison {package} | sed 's/^[^|]*| *//; s/ *|.*//' |"
        f" grep -m 1 -E '^([0-9]+:)?{version}(-|$)') ||"
        f' {{ echo "E: no repository of this host has {package} of {version}$unread" >&2;'
        " exit 1; };",
        f'{ENVIRONMENT} {APT} install --allow-downgrades --no-install-recommends {package}="$v"',
    )
