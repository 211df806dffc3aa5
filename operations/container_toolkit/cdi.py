"""The CDI spec, one file that names this host's GPUs to container runtimes, and who renews it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.container_toolkit.cdi import (
    CdiRefresh,
    CdiSpecs,
    DriverLibraries,
    DriverOnHost,
    NvmlGpus,
    RefreshPossible,
    Spec,
)
from gpurig.facts.container_toolkit.toolkit import ToolkitVersion
from gpurig.facts.host.systemd import Unit, Units

KIND = "nvidia.com/gpu"
KEPT = "/etc/cdi/nvidia.yaml"  # survives a reboot
REFRESHED = "/var/run/cdi/nvidia.yaml"  # written anew at each boot by nvidia-cdi-refresh.service


def faults(spec: Spec, driver: DriverOnHost, gpus: int | None = None) -> list[str]:
    """
    Why containers would not get this host's GPUs by this spec; empty when they would.

    + gpus: how many GPUs the driver answers for; ``None`` when there was no reason to ask
    """
    if not spec["version"] or not spec["kind"]:
        return ["it cannot be read"]
    found = [f"it names {path}, which is not there" for path in spec["missing"][:1]]
    unnamed = sorted(set(driver["libraries"]) - set(spec["libraries"]))
    if unnamed:
        found.append(f"it does not name the installed {unnamed[0]}")
    if gpus and gpus != len(spec["nodes"]):
        found.append(f"it names {len(spec['nodes'])} GPUs, and there are {gpus}")
    if "all" not in spec["devices"]:
        found.append("it has no device all")
    return found


def kept(specs: Sequence[Spec], right: Sequence[Spec], refreshes: bool) -> str:
    """
    The path of the one spec that stays or is made.

    Where nvidia-cdi-refresh.service works, its file would be back at the next boot beside any
    other; where it does not, a file under /run would be gone then.
    """
    in_etc = [spec["path"] for spec in specs if spec["path"].startswith("/etc/")]
    in_run = [spec["path"] for spec in specs if not spec["path"].startswith("/etc/")]
    if refreshes and (in_run or not in_etc):
        return REFRESHED
    lasting = [spec["path"] for spec in right if spec["path"] in in_etc]
    return next(iter([*lasting, *in_etc, KEPT]))


UNITS = ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service")


def stopped(units: dict[str, Unit], possible: bool) -> list[str]:
    """
    What keeps the toolkit's units from renewing the spec; empty where nothing is to be done.

    A mask is somebody's will. Where the service would be skipped anyway, only a failure counts.
    """
    if any("masked" in (units[name]["load"], units[name]["enabled"]) for name in units):
        return []
    there = {name: unit for name, unit in units.items() if unit["load"] == "loaded"}
    wrong = [f"{name} failed" for name, unit in there.items() if unit["active"] == "failed"]
    if possible:
        wrong += [f"{name} is {unit['enabled']}" for name, unit in there.items()
                  if unit["enabled"] != "enabled"]  # fmt: skip
        wrong += [f"{UNITS[0]} is inactive" for name in there
                  if name == UNITS[0] and there[name]["active"] == "inactive"]  # fmt: skip
    return wrong


# Comes before the toolkit's packages, whose installation starts nvidia-cdi-refresh.service: it
# reads what lies beside the file that it writes, and after five crashes it has failed for good.
# dockerd reads both folders, and does not start until the file is gone.
@keeps("container-toolkit.cdi-readable")
def readable() -> Generator[StringCommand, None, None]:
    """No program crashes on a CDI spec of this host, also not on another vendor's."""
    found = read(CdiSpecs)
    if isinstance(found, Unknown):
        return unknown(found.reason)
    assert isinstance(found, list)
    deadly = [spec["path"] for spec in found if spec["deadly"]]
    if not deadly:
        return holds("; ".join(f"{path} cannot be read, and stays" for path in foreign(found)))
    drift(
        actual=f"dockerd and nvidia-ctk crash on {', '.join(deadly)}: a list has an empty entry,"
        " as in a file that was cut off",
        wanted="no CDI spec that stops them",
        will=" and ".join(f"move {path} aside to {path}.broken" for path in deadly),
        leaves="what stands in it",
    )
    for path in deadly:
        yield _aside(path, "broken")


def foreign(specs: Sequence[Spec]) -> list[str]:
    """The paths of files that cannot be read and are not the toolkit's, by their names."""
    return [
        s["path"] for s in specs if not (s["version"] and s["kind"]) and s["path"] not in _USUAL
    ]


@keeps("container-toolkit.cdi-refresh")
def refresh() -> Generator[StringCommand, None, None]:
    """The toolkit's own units renew the CDI spec, at boot and with the driver, where they can."""
    if read(ToolkitVersion) is ABSENT:
        return follows("container-toolkit.packages")
    units, possible = read(Units, units=" ".join(UNITS)), read(RefreshPossible)
    for fact in (units, possible):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if units is ABSENT:
        return unknown("systemd does not run here, so nobody would start them")
    assert isinstance(units, dict)
    if all(unit["load"] == "not-found" for unit in units.values()):
        return holds(f"this toolkit brings no such units; the spec is in {KEPT}")
    wrong = stopped(units, possible is True)
    if not wrong:
        if any(unit["load"] == "masked" for unit in units.values()):
            return holds(f"they are masked by hand, and stay so; the spec is in {KEPT}")
        return holds(
            "they renew the spec"
            if possible
            else "they are skipped here: the running kernel has"
            f" no nvidia.ko or nvidia-current.ko; the spec is in {KEPT}"
        )
    if possible and not _gpus():
        return due(f"{', '.join(wrong)}: it can run once the NVIDIA driver answers (reboot)")
    drift(
        actual=", ".join(wrong),
        wanted="the units renew the spec",
        will="enable and start them" if possible else "start what failed again",
    )
    names = [name for name in UNITS if units[name]["load"] == "loaded"]
    # A unit that failed too often in a row is only started again after this.
    yield StringCommand("systemctl reset-failed", *names, "2>/dev/null || :")
    if possible:
        yield StringCommand("systemctl enable --now", *names)
    else:  # the path unit is to see the module come; the service is skipped
        failed = [name for name in names if units[name]["active"] == "failed"]
        yield StringCommand("systemctl start", *failed)


@keeps("container-toolkit.cdi")
def spec() -> Generator[StringCommand, None, None]:
    """Exactly one CDI spec of kind nvidia.com/gpu, for the GPUs and the driver of this host."""
    if read(ToolkitVersion) is ABSENT:
        return follows("container-toolkit.packages")
    driver, found, refreshes = read(DriverLibraries), read(CdiSpecs), read(CdiRefresh)
    units, possible = read(Units, units=" ".join(UNITS)), read(RefreshPossible)
    for fact in (driver, found, refreshes, units, possible):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if possible and isinstance(units, dict) and stopped(units, True) and _gpus():
        return follows("container-toolkit.cdi-refresh")
    if driver is ABSENT:
        return follows("driver.packages")
    assert isinstance(driver, dict)
    assert isinstance(found, list)
    # A broken file in the usual place is a spec of ours that was cut off; others are not ours.
    specs = [s for s in found if s["kind"] == KIND or (not s["kind"] and s["path"] in _USUAL)]
    specs = [s for s in specs if not s["deadly"]]  # `readable` moves those
    # Device nodes are cheap to look at, but outlive a GPU that is gone: in doubt the driver says.
    doubt = not specs or any(set(s["nodes"]) != set(driver["nodes"]) for s in specs)
    number = _gpus() if doubt else None
    right = [s for s in specs if not faults(s, driver, number)]
    path = kept(specs, right, refreshes is True)
    others = [s["path"] for s in specs if s["path"] != path]
    fresh = any(s["path"] == path for s in right)
    closed = [told for s in specs if s["path"] == path for told in s["closed"]]
    if fresh and not others and not closed:
        return holds(f"{path} names the GPUs and the libraries of {driver['version']}")
    if not fresh and not (_gpus() if number is None else number):
        return due("the CDI spec can only be made once the NVIDIA driver answers (reboot)")
    wrong = [f"{s['path']}: {fault}" for s in specs for fault in faults(s, driver, number)[:1]]
    wrong += [f"more than one: {', '.join(s['path'] for s in specs)}"] if len(specs) > 1 else []
    wrong += closed
    if path == KEPT:
        wrong += [f"{s['path']} is gone after a reboot" for s in right if s["path"] in others]
    drift(
        actual="; ".join(wrong) or "no CDI spec of this host's GPUs",
        wanted=f"one CDI spec, {path}, for driver {driver['version']}",
        will=" and ".join(
            [
                *([f"write {path}"] if not fresh else []),
                *(["let everybody read it and root alone write it"] if closed else []),
                *(f"move {o} aside" for o in others),
            ]
        ),
        leaves="specs of other kinds",
    )
    if not fresh:
        yield _made(path, by_service=path == REFRESHED)
    if closed:
        folder = QuoteString(path.rpartition("/")[0])
        yield StringCommand("chown root:root", folder, QuoteString(path))
        yield StringCommand("chmod 755", folder, "&& chmod 644", QuoteString(path))
    for other in others:
        yield _aside(other, "replaced")


def _aside(path: str, suffix: str) -> StringCommand:
    """The file keeps its folder; CDI's readers take ``*.yaml`` and ``*.json`` only."""
    return StringCommand(
        "mv -f --backup=numbered --", QuoteString(path), QuoteString(f"{path}.{suffix}")
    )


def _gpus() -> int:
    number = read(NvmlGpus)
    return number if isinstance(number, int) else 0


_USUAL = (KEPT, REFRESHED)


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
