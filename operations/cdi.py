"""The CDI spec: one file that names this host's GPUs and its driver to container runtimes."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.fact import read
from gpurig.facts.cdi import (
    CdiRefresh,
    CdiSpecs,
    DriverLibraries,
    DriverOnHost,
    NvmlGpus,
    Spec,
)
from gpurig.facts.container_toolkit import ToolkitVersion
from gpurig.promise import drift, due, follows, holds, keeps, unknown
from gpurig.values import ABSENT, Unknown

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


# Comes before Docker is started: dockerd (26.1.5, seen) dies of a spec that was cut off, and its
# restarts fail until the spec is mended.
@keeps("container-toolkit.cdi")
def spec() -> Generator[StringCommand, None, None]:
    """Exactly one CDI spec of kind nvidia.com/gpu, for the GPUs and the driver of this host."""
    if read(ToolkitVersion) is ABSENT:
        return follows("container-toolkit.packages")
    driver, found, refreshes = read(DriverLibraries), read(CdiSpecs), read(CdiRefresh)
    for fact in (driver, found, refreshes):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if driver is ABSENT:
        return follows("driver.packages")
    assert isinstance(driver, dict)
    assert isinstance(found, list)
    # A broken file in the usual place is a spec of ours that was cut off; others are not ours.
    specs = [s for s in found if s["kind"] == KIND or (not s["kind"] and s["path"] in _USUAL)]
    # Device nodes are cheap to look at, but outlive a GPU that is gone: in doubt the driver says.
    doubt = not specs or any(set(s["nodes"]) != set(driver["nodes"]) for s in specs)
    number = _gpus() if doubt else None
    right = [s for s in specs if not faults(s, driver, number)]
    path = kept(specs, right, refreshes is True)
    others = [s["path"] for s in specs if s["path"] != path]
    fresh = any(s["path"] == path for s in right)
    if fresh and not others:
        return holds(f"{path} names the GPUs and the libraries of {driver['version']}")
    if not fresh and not (_gpus() if number is None else number):
        return due("the CDI spec can only be made once the NVIDIA driver answers (reboot)")
    wrong = [f"{s['path']}: {fault}" for s in specs for fault in faults(s, driver, number)[:1]]
    wrong += [f"more than one: {', '.join(s['path'] for s in specs)}"] if len(specs) > 1 else []
    if path == KEPT:
        wrong += [f"{s['path']} is gone after a reboot" for s in right if s["path"] in others]
    drift(
        actual="; ".join(wrong) or "no CDI spec of this host's GPUs",
        wanted=f"one CDI spec, {path}, for driver {driver['version']}",
        will=" and ".join(
            [*([f"write {path}"] if not fresh else []), *(f"move {o} aside" for o in others)]
        ),
        leaves="specs of other kinds",
    )
    if not fresh:
        yield _made(path, by_service=path == REFRESHED)
    for other in others:
        # runtimes read *.yaml and *.json only
        yield StringCommand("mv -f --", QuoteString(other), QuoteString(f"{other}.replaced"))


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
