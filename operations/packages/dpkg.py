"""dpkg: what an interrupted run left is finished before anything else is asked of it."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps
from gpurig.facts.driver.dkms import DkmsFailures
from gpurig.facts.driver.packages import DriverPackages
from gpurig.facts.packages.dpkg import HalfDone, Unmet
from gpurig.facts.packages.locks import AptAtWork
from gpurig.operations.driver.packages import transaction
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, LOCK_SECONDS

# dpkg has no lock timeout of its own; apt-get waits for it, and waiting does nothing else.
_WAITED = f"apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} check >/dev/null 2>&1"


@keeps("packages.dpkg")
def whole(flavour: str = "") -> Commands:
    """
    No package is half installed or lacks what it depends on; configuration files stay.

    + flavour: of the driver's module that is wanted; what the other one's failed build keeps half
      done ends when the driver is moved
    """
    half, unmet = known(HalfDone), known(Unmet)
    if not half and not unmet:
        return holds("no package is half installed")
    if flavour and half and _stuck(half, flavour):
        return follows(
            "driver.packages",
            "a module of the driver does not build; driver.packages moves the driver",
        )
    at_work = read(AptAtWork)
    waits = f"wait for {', '.join(at_work)}, and " if isinstance(at_work, list) else ""
    wrong = [f"half installed: {', '.join(half)}"] if half else []
    drift(
        actual="; ".join(wrong + unmet),
        wanted="no package half installed",
        will=f"{waits}finish the interrupted installation",
        leaves="configuration files that were edited",
    )
    # Never by removing: a package that cannot be completed is a person's to decide about. But for
    # the driver's: a move of it that was cut off may go on by nothing else.
    yield StringCommand(
        f"{_WAITED}; {ENVIRONMENT} dpkg --force-confdef --force-confold --configure -a;"
        f" {ENVIRONMENT} {APT} --no-remove --fix-broken install ||",
        transaction([], options="--allow-downgrades --fix-broken"),
    )


def _stuck(half: list[str], flavour: str) -> bool:
    """Whether all of these wait for a module that dkms could not build and nobody wants."""
    family, failures = read(DriverPackages), read(DkmsFailures)
    if not isinstance(family, dict) or not isinstance(failures, list) or not failures:
        return False
    others = {package["flavour"] for package in family.values()} - {"", flavour}
    return bool(others) and set(half) <= set(family)
