"""dpkg: what an interrupted run left is finished before anything else is asked of it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import StringCommand

from gpurig.fact import read
from gpurig.facts.dpkg import HalfDone, Unmet
from gpurig.operations.driver_packages import transaction
from gpurig.operations.packages import APT, ENVIRONMENT, LOCK_SECONDS
from gpurig.promise import drift, holds, keeps, unknown
from gpurig.values import Unknown

# dpkg has no lock timeout of its own; apt-get waits for it, and waiting does nothing else.
_WAITED = f"apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} check >/dev/null 2>&1"


@keeps("packages.dpkg")
def whole() -> Generator[StringCommand, None, None]:
    """No package is half installed or lacks what it depends on; configuration files stay."""
    half, unmet = read(HalfDone), read(Unmet)
    for fact in (half, unmet):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(half, list)
    assert isinstance(unmet, list)
    if not half and not unmet:
        return holds("no package is half installed")
    wrong = [f"half installed: {', '.join(half)}"] if half else []
    drift(
        actual="; ".join(wrong + unmet),
        wanted="no package half installed",
        will="finish the interrupted installation",
        leaves="configuration files that were edited",
    )
    # Never by removing: a package that cannot be completed is a person's to decide about. But for
    # the driver's: a move of it that was cut off may go on by nothing else.
    yield StringCommand(
        f"{_WAITED}; {ENVIRONMENT} dpkg --force-confdef --force-confold --configure -a;"
        f" {ENVIRONMENT} {APT} --no-remove --fix-broken install ||",
        transaction([], options="--allow-downgrades --fix-broken"),
    )
