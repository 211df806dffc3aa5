"""Which driver: every candidate is held against every demand; the first that meets all is taken."""

from __future__ import annotations

from typing import cast

from gpurig.stack.demands import Demand, objections, of_gpu, of_settings, smallest_conflict
from gpurig.stack.gpus import called
from gpurig.stack.kernels import kernel
from gpurig.stack.model import Driver, Flavour, Kernel, WayOut
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import BrokenRow, DriverRow, tables
from gpurig.stack.versions import branch_of, numbers
from gpurig.values import Unknown

FLAVOURS: tuple[Flavour, ...] = ("open", "proprietary")
BY_HAND = WayOut(
    'rig_driver_source = "none" and a driver of your own',
    "gpurig neither installs nor repairs the driver",
)
VENDOR = WayOut('rig_driver_source = "nvidia"', "not available in this version")
ON_CPU = WayOut(
    'rig_driver_source = "none" and rig_accelerator = "cpu"', "the GPU is not computed on"
)


def driver(site: Site, draft: Draft) -> tuple[Driver | None, Kernel | None]:
    """The driver and the kernel it is built for, or neither with the reason in the draft."""
    settings, inside = site.settings, site.inside
    if not draft.wants("driver"):
        draft.unwanted("driver")
    elif settings.driver_source == "none":
        draft.leave_out("driver", 'rig_driver_source is "none"')
    elif not site.gpus:
        assume = WayOut("name GPUs in rig_assume_gpu", "they are assumed, not computed on")
        draft.leave_out("driver", "no NVIDIA GPU", assume)
    elif inside == "container" and not site.assumed:
        assume = WayOut("rig_assume_gpu, when an image is baked", "nothing is computed")
        reason = "inside a container the kernel and its driver are the outer machine's"
        draft.leave_out("driver", reason, assume)
    elif inside == "wsl":
        draft.leave_out("driver", "under WSL the driver is that of Windows")
    else:
        return _choose(site, draft)
    return None, None


def _choose(site: Site, draft: Draft) -> tuple[Driver, Kernel]:
    if isinstance(site.observed.virtualization, Unknown) and not site.assumed:
        said = site.observed.virtualization.reason
        refuse([f"whether this is a container is not known ({said})"], BY_HAND)
    _refuse_unknown(site, draft)
    boots = kernel(site, draft)
    gpus = [of_gpu(gpu) for gpu in site.gpus if gpu.architecture]
    _refuse_impossible(gpus)
    if foreign := _foreign(site, draft, gpus):
        return foreign, boots
    demands = [*gpus, *of_settings(site), _builds(site, boots)]
    rows = _rows(site)
    against = {_title(row): objections(row.pair, demands) for row in rows}
    fitting = [row for row in rows if not against[_title(row)]]
    if not fitting:
        _refuse_all(site, rows, demands)
    row = _installed_first(site, fitting)
    if boots.release and numbers(boots.release)[:2] > numbers(row.kernel):
        draft.warn(
            f"the driver {_title(row)} was tried on kernels {row.kernel}, not on {boots.release}"
        )
    rejected = [f"{title}: {'; '.join(why)}" for title, why in against.items() if why]
    rejected += _never_packaged(site)
    rejected += [f"{_title(other)}: also fits, comes second" for other in fitting if other != row]
    draft.chose(f"driver {_title(row)}", _why(site, row), row.source, rejected)
    return _as_driver(row), boots


def _why(site: Site, row: DriverRow) -> str:
    gpus = ", ".join(dict.fromkeys(called(gpu) for gpu in site.gpus))
    branch = next(found for found in tables().branches if found.number == row.branch)
    ended = (
        f"; NVIDIA's support of {row.branch}: {branch.end_of_life}" if branch.end_of_life else ""
    )
    return f"{site.distribution.name} brings it and it drives {gpus}{ended}"


def _refuse_unknown(site: Site, draft: Draft) -> None:
    unknown = dict.fromkeys(gpu.id for gpu in site.gpus if gpu.architecture is None)
    if not unknown:
        return
    ids = ", ".join(unknown)
    if "auto" in (site.settings.driver_branch, site.settings.driver_flavour):
        refuse(
            [f"the GPU id {ids} is unknown, so that no driver can be chosen for it"],
            WayOut("name rig_driver_branch and rig_driver_flavour", "nobody checks them"),
            BY_HAND,
        )
    draft.warn(
        f"the GPU id {ids} is unknown; whether the driver you named drives it is not checked"
    )


def _builds(site: Site, boots: Kernel) -> Demand:
    def against(branch: int, flavour: Flavour) -> str | None:
        for row in _broken(site):
            if (row.branch, row.flavour) == (branch, flavour) and _hits(row, boots.release):
                return row.reason
        return None

    return Demand(f"the kernel {boots.release or 'that comes with it'}", against)


def _hits(row: BrokenRow, release: str | None) -> bool:
    """Whether it is broken there; a kernel yet to come is the newest, and so hit."""
    first = row.kernel_from
    return first is None or release is None or numbers(release) >= numbers(first)


def _broken(site: Site) -> list[BrokenRow]:
    here = (site.distribution.id, site.distribution.release)
    return [row for row in tables().broken if (row.distribution, row.release) == here]


def _never_packaged(site: Site) -> list[str]:
    return [
        f"{row.branch} {row.flavour}: {row.reason}"
        for row in _broken(site)
        if row.kernel_from is None
    ]


def _rows(site: Site) -> list[DriverRow]:
    here = (site.distribution.id, site.distribution.release)
    return [
        row
        for row in tables().drivers
        if (row.distribution, row.release) == here
        and site.architecture.machine in row.architectures
    ]


def _installed_first(site: Site, fitting: list[DriverRow]) -> DriverRow:
    """The row that is installed, else the first: what is installed and lawful holds."""
    there = site.observed.driver_installed
    if isinstance(there, dict):
        for row in fitting:
            if row.pair == (branch_of(there["version"]), there["flavour"]):
                return row
    return fitting[0]


def _foreign(site: Site, draft: Draft, gpus: list[Demand]) -> Driver | None:
    """The installed driver that is not the distribution's, which holds if it is lawful."""
    there = site.observed.driver_installed
    if isinstance(there, Unknown):
        refuse([f"which driver is installed is not known ({there.reason})"], BY_HAND)
    if not isinstance(there, dict) or there["source"] == "distribution":
        return None
    branch, flavour = branch_of(there["version"]), cast(Flavour, there["flavour"])
    installed = f"the installed driver {there['version']} ({flavour}, from {there['source']})"
    demands = [*gpus, *of_settings(site)]
    if site.settings.driver_source == "distribution":
        drop = WayOut("leave rig_driver_source out", "the installed driver stays")
        demands.append(Demand('rig_driver_source = "distribution"', lambda b, f: "it is not", drop))
    for demand in demands:
        if why := demand.against(branch, flavour):
            remove = WayOut("remove the installed driver", "the distribution's takes its place")
            ways = [demand.way_out] if demand.way_out else []
            refuse([f"{installed}", f"{demand.sentence} ({why})"], *ways, remove, BY_HAND)
    draft.chose(f"driver {branch} {flavour}", f"{installed} fits and is kept", "the host")
    return Driver(
        branch=str(branch),
        flavour=flavour,
        source=there["source"],
        packages=(),
        module="nvidia",
        dkms="nvidia",
        minimum_version=there["version"],
    )


def _refuse_impossible(gpus: list[Demand]) -> None:
    """Refuse GPUs that no driver at all drives together."""
    every = [(row.number, flavour) for row in tables().branches for flavour in FLAVOURS]
    if smallest := smallest_conflict(every, gpus):
        away = WayOut("move one of them to another host", "each host then has its own driver")
        sentences = list(dict.fromkeys(demand.sentence for demand in smallest))
        refuse([*sentences, "one driver for all GPUs of a host"], away, ON_CPU)


def _refuse_all(site: Site, rows: list[DriverRow], demands: list[Demand]) -> None:
    smallest = smallest_conflict([row.pair for row in rows], demands)
    packaged = " and ".join(_title(row) for row in rows)
    why = list(dict.fromkeys(why for row in rows for why in objections(row.pair, smallest)))
    ways = [demand.way_out for demand in smallest if demand.way_out]
    if not ways:
        ways = [VENDOR] if _vendor_drives(smallest) else []
        ways += [BY_HAND, ON_CPU]
    refuse(
        [
            *(demand.sentence for demand in smallest),
            f"{site.distribution.name}, whose drivers are {packaged} ({'; '.join(why)})",
        ],
        *ways,
    )


def _vendor_drives(demands: list[Demand]) -> bool:
    """Whether a branch that NVIDIA still supports meets the demands."""
    supported = [row.number for row in tables().branches if row.end_of_life != "ended"]
    return any(not objections((number, f), demands) for number in supported for f in FLAVOURS)


def _title(row: DriverRow) -> str:
    return f"{row.version} {row.flavour}"


def _as_driver(row: DriverRow) -> Driver:
    return Driver(
        branch=str(row.branch),
        flavour=row.flavour,
        source="distribution",
        packages=tuple(row.packages),
        module=row.module,
        dkms=row.dkms,
        minimum_version=row.version,
        components=tuple(row.components),
    )
