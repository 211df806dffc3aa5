"""The CDI spec, one file that names this host's GPUs to container runtimes, and who renews it."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.container_toolkit.cdi import (
    CdiRefresh,
    CdiSpecs,
    DriverLibraries,
    NvmlGpus,
    RefreshPossible,
)
from gpurig.facts.host.systemd import Unit, Units
from gpurig.operations.container_toolkit.cdi_plan import (
    KEPT,
    REFRESHED,
    Plan,
    faults,
    foreign,
    in_doubt,
    of_gpus,
)
from gpurig.operations.container_toolkit.toolkit import installed_first
from gpurig.operations.driver.libraries import own_first
from gpurig.operations.shared.systemd import masked

UNITS = ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service")


def stopped(units: dict[str, Unit], possible: bool) -> list[str]:
    """
    What keeps the toolkit's units from renewing the spec; empty where nothing is to be done.

    A mask is somebody's will. Where the service would be skipped anyway, only a failure counts.
    """
    if masked(units):
        return []
    there = {name: unit for name, unit in units.items() if unit["load"] == "loaded"}
    wrong = [f"{name} failed" for name, unit in there.items() if unit["active"] == "failed"]
    if not possible:
        return wrong
    off = {name: unit["enabled"] for name, unit in there.items() if unit["enabled"] != "enabled"}
    wrong += [f"{name} is {enabled}" for name, enabled in off.items()]
    down = UNITS[0] in there and there[UNITS[0]]["active"] == "inactive"
    return wrong + [f"{UNITS[0]} is inactive"] * down


# Comes before the toolkit's packages, whose installation starts nvidia-cdi-refresh.service: it
# reads what lies beside the file that it writes, and after five crashes it has failed for good.
# dockerd reads both folders, and does not start until the file is gone.
@keeps("container-toolkit.cdi-readable")
def readable() -> Commands:
    """No program crashes on a CDI spec of this host, also not on another vendor's."""
    found = known(CdiSpecs)
    deadly = [spec["path"] for spec in found if spec["deadly"]]
    if not deadly:
        return holds(
            "; ".join(f"{path} cannot be read; gpurig leaves it" for path in foreign(found))
        )
    drift(
        actual=f"dockerd and nvidia-ctk crash on {', '.join(deadly)}, which"
        " has an empty entry in a list (as after a write that was"
        " cut off)",
        wanted="no CDI spec that crashes them",
        will=" and ".join(f"rename {path} to {path}.broken" for path in deadly),
        leaves="its content",
    )
    for path in deadly:
        yield _aside(path, "broken")


@keeps("container-toolkit.cdi-refresh")
def refresh() -> Commands:
    """The toolkit's own units renew the CDI spec, at boot and with the driver, where they can."""
    installed_first()
    units, possible = known(Units, units=" ".join(UNITS)), known(RefreshPossible)
    if units is ABSENT:
        return unknown("systemd is not running here, so the units cannot start")
    wrong = stopped(units, possible)
    if not wrong:
        return holds(_unchanged(units, possible))
    if possible and not _gpus():
        return due(f"{', '.join(wrong)}; reboot: the units need a running NVIDIA driver")
    drift(
        actual=", ".join(wrong),
        wanted="the units renew the spec",
        will="enable and start them" if possible else "start the failed unit again",
    )
    names = [name for name in UNITS if units[name]["load"] == "loaded"]
    # A unit that failed too often in a row is only started again after this.
    yield StringCommand("systemctl reset-failed", *names, "2>/dev/null || :")
    if possible:
        yield StringCommand("systemctl enable --now", *names)
    else:  # the path unit is to see the module come; the service is skipped
        failed = [name for name in names if units[name]["active"] == "failed"]
        yield StringCommand("systemctl start", *failed)


def _unchanged(units: dict[str, Unit], possible: bool) -> str:
    """Why nothing is done about the units."""
    loads = {unit["load"] for unit in units.values()}
    if loads == {"not-found"}:
        return f"this toolkit has no such units; the spec is in {KEPT}"
    if "masked" in loads:
        return f"the units are masked and stay masked; the spec is in {KEPT}"
    if possible:
        return "the units renew the spec"
    return (
        "systemd skips the units here, because the running kernel"
        " has no nvidia.ko or nvidia-current.ko; the spec is in"
        f" {KEPT}"
    )


@keeps("container-toolkit.cdi")
def spec() -> Commands:
    """Exactly one CDI spec of kind nvidia.com/gpu, for the GPUs and the driver of this host."""
    installed_first()
    own_first()
    driver, found, refreshes = known(DriverLibraries), known(CdiSpecs), known(CdiRefresh)
    units, possible = known(Units, units=" ".join(UNITS)), known(RefreshPossible)
    if possible and units is not ABSENT and stopped(units, True) and _gpus():
        return follows("container-toolkit.cdi-refresh")
    if driver is ABSENT:
        return follows("driver.packages")
    specs = of_gpus(found)
    gpus = _gpus() if in_doubt(specs, driver) else None
    plan = Plan(specs, {one["path"]: faults(one, driver, gpus) for one in specs}, refreshes)
    if plan.nothing:
        return holds(f"{plan.path} has the GPUs and the libraries of {driver['version']}")
    if not plan.fresh and not _gpus():
        return due("reboot: the CDI spec needs a running NVIDIA driver")
    drift(
        actual=plan.actual,
        wanted=f"one CDI spec, {plan.path}, for driver {driver['version']}",
        will=plan.will,
        leaves="specs of other kinds",
    )
    yield from _brought_about(plan)


def _brought_about(plan: Plan) -> Commands:
    path = QuoteString(plan.path)
    if not plan.fresh:
        yield _made(plan.path, by_service=plan.path == REFRESHED)
    if plan.closed:
        folder = QuoteString(plan.path.rpartition("/")[0])
        yield StringCommand("chown root:root", folder, path)
        yield StringCommand("chmod 755", folder, "&& chmod 644", path)
    for other in plan.others:
        yield _aside(other, "replaced")


def _aside(path: str, suffix: str) -> StringCommand:
    """The file keeps its folder; CDI's readers take ``*.yaml`` and ``*.json`` only."""
    return StringCommand(
        "mv -f --backup=numbered --", QuoteString(path), QuoteString(f"{path}.{suffix}")
    )


def _gpus() -> int:
    number = read(NvmlGpus)
    return number if isinstance(number, int) else 0


def _made(path: str, by_service: bool) -> StringCommand:
    if by_service:
        return StringCommand("systemctl start nvidia-cdi-refresh.service")
    staged = f"{path}.gpurig-new"  # no runtime reads this name, nor half a spec
    return StringCommand(
        "mkdir -p", QuoteString(path.rpartition("/")[0]), "&&",
        f"nvidia-ctk --quiet cdi generate --format={path.rpartition('.')[2]} >",
        QuoteString(staged), "&& chmod 644", QuoteString(staged), "&&",
        "mv -f", QuoteString(staged), QuoteString(path),
    )  # fmt: skip
