"""Which driver: every candidate is held against every demand; the best that meets all is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpurig.contract.values import Unknown
from gpurig.stack.candidates import Candidate, branch_row, candidates, every_pair
from gpurig.stack.demands import Demand, objections, smallest_conflict
from gpurig.stack.driver_demands import (
    can_be_had,
    has_fabric_manager,
    of_build,
    of_gpu,
    of_holds,
    of_settings,
    of_vgpus,
)
from gpurig.stack.gpu_ids import since
from gpurig.stack.gpus import called
from gpurig.stack.kernels import kernel
from gpurig.stack.model import Driver, End, Kernel, WayOut
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.versions import numbers

ALSO = "would also work; the chosen one is preferred"


def driver(site: Site, draft: Draft, more: Sequence[Demand]) -> tuple[Driver | None, Kernel | None]:
    """
    The driver and the kernel it is built for, or neither with the reason in the draft.

    + more: what the frameworks and the system's CUDA demand of it
    """
    settings, inside = site.settings, site.inside
    if not draft.wants("driver"):
        draft.unwanted("driver")
    elif settings.driver_source == "none":
        draft.leave_out("driver", 'rig_driver_source is "none"')
    elif site.jetson:
        draft.leave_out("driver", site.no_gpu)
    elif not site.gpus:
        assume = WayOut("set rig_assume_gpu", "gpurig assumes these GPUs; nothing computes on them")
        draft.leave_out("driver", site.no_gpu, assume)
    elif site.distribution.family == "macos":
        draft.leave_out("driver", "NVIDIA makes no driver for macOS")
    elif inside == "wsl":
        draft.leave_out("driver", "WSL uses the driver of Windows")
    elif inside == "container" and not site.assumed:
        assume = WayOut("set rig_assume_gpu to bake an image", "nothing computes on the GPUs")
        reason = "a container uses the kernel and the driver of the outer machine"
        draft.leave_out("driver", reason, assume)
    else:
        return _choose(site, draft, more)
    return None, None


def _choose(site: Site, draft: Draft, more: Sequence[Demand]) -> tuple[Driver, Kernel]:
    _refuse_unread(site)
    _refuse_unknown(site, draft)
    boots = kernel(site, draft)
    gpus = [of_gpu(site, gpu) for gpu in site.kinds if gpu.architecture]
    _refuse_impossible(site, gpus)
    found = candidates(site, boots)
    demands = [
        *gpus,
        *of_settings(site),
        *has_fabric_manager(site),
        *of_vgpus(site),
        *of_holds(site, found),
    ]
    demands += [of_build(site, boots), can_be_had(), *more]
    hard = [demand for demand in demands if not demand.soft]
    soft = [demand for demand in demands if demand.soft]
    fitting = [candidate for candidate in found if not any(d.against(candidate) for d in hard)]
    if not fitting:
        _refuse_all(site, found, hard)
    best = min(fitting, key=lambda one: len(objections(one, soft)))
    _warn_untried(draft, best, boots)
    rejected = _grouped(found, best, demands)
    draft.chose(f"driver {best.title}", _why(site, best), best.row, rejected)
    _end(draft, best)
    switches = bool(site.nvswitches)
    oldest = _oldest(site, best)
    taken = replace(
        best.driver,
        fabric_manager=best.driver.fabric_manager if switches else None,
        oldest=oldest,
        minimum_version=max(best.version, oldest or "", key=numbers),
    )
    if switches and taken.fabric_manager:
        reason = "the host has an NVSwitch; without a fabric manager no GPU computes"
        draft.chose(f"fabric manager {taken.fabric_manager}", reason, best.row)
    _warn_of_fabric(site, draft, best)
    return taken, boots


def _warn_of_fabric(site: Site, draft: Draft, best: Candidate) -> None:
    """Name what gpurig does not install: its need is seen in ids only, not in the topology."""
    for row in site.boards:
        if row.needs == "IMEX":
            draft.warn(
                f"{row.machines} need IMEX (nvidia-imex, of the driver's version) for NVLink"
                " between hosts, and no fabric manager; gpurig does not install IMEX"
            )
            continue
        package = best.driver.fabric_manager or "nvidia-fabricmanager"
        draft.warn(
            f"{row.machines} need a fabric manager ({package}), NVLSM (nvlsm, in NVIDIA's"
            " repository) and the kernel module ib_umad, which gpurig does not install;"
            " without them CUDA ends with error 802"
        )


def _oldest(site: Site, best: Candidate) -> str | None:
    """The first version of the branch that knows every GPU, None where the whole branch does."""
    unsure = [gpu for gpu in site.kinds if not (best.installed and gpu.id in site.driven)]
    first = [since(gpu.id, best.branch, best.flavour) for gpu in unsure]
    oldest = max((one for one in first if one), key=numbers, default="")
    return oldest if "." in oldest else None


def by_hand(site: Site) -> WayOut:
    """To leave the driver to whoever looks after the host."""
    change = f'set rig_driver_source = "none" and install a driver yourself{_dropping(site)}'
    return WayOut(change, "gpurig neither installs nor repairs the driver")


def use_some(site: Site) -> list[WayOut]:
    """To use those GPUs that one driver supports."""
    if site.assumed:
        return []
    return [WayOut("set rig_gpus to the GPUs that you want", "gpurig leaves the others alone")]


def on_cpu(site: Site) -> WayOut:
    """To leave the GPU alone."""
    change = f'set rig_driver_source = "none" and rig_accelerator = "cpu"{_dropping(site)}'
    return WayOut(change, "nothing computes on the GPU")


def _dropping(site: Site) -> str:
    """The wishes that contradict a driver of one's own."""
    settings = site.settings
    named = [
        name
        for name, wish in (
            ("rig_driver_branch", settings.driver_branch),
            ("rig_driver_flavour", settings.driver_flavour),
        )
        if wish != "auto"
    ]
    named += ["driver in rig_components"] if "driver" in settings.components else []
    return f", without {' and '.join(named)}" if named else ""


def _why(site: Site, best: Candidate) -> str:
    gpus = ", ".join(dict.fromkeys(called(gpu) for gpu in site.gpus))
    if best.installed:
        return f"it is installed ({best.source}), supports {gpus}, and stays"
    if best.source == "distribution":
        return f"{site.distribution.name} has it, and it supports {gpus}"
    row = branch_row(best.branch)
    kind = f"an {row.kind}" if row and row.kind == "LTS" else f"a {row.kind if row else ''}"
    return f"{kind} branch in NVIDIA's repository; it supports {gpus}"


def _end(draft: Draft, best: Candidate) -> None:
    row = branch_row(best.branch)
    if row is None or row.end_of_life is None:
        return
    after = "then NVIDIA no longer fixes this branch"
    when = row.end_of_life
    if row.ended:
        after = "NVIDIA no longer fixes this branch"
        when = "ended" if when == "ended" else f"ended {when}"
    if best.source == "distribution":
        after += "; the distribution's security updates continue"
    draft.ends.append(End(f"driver branch {best.branch}", when, after))


def _warn_untried(draft: Draft, best: Candidate, boots: Kernel) -> None:
    if best.kernel and boots.release and numbers(boots.release)[:2] > numbers(best.kernel):
        draft.warn(
            f"driver {best.title} builds on kernels up to {best.kernel};"
            f" whether it builds on {boots.release} is unknown"
        )


def _grouped(found: Sequence[Candidate], best: Candidate, demands: Sequence[Demand]) -> list[str]:
    """The others, those with the same reason in one line."""
    lines: dict[str, list[Candidate]] = {}
    for candidate in found:
        if candidate is not best:
            why = "; ".join(objections(candidate, demands)) or ALSO
            lines.setdefault(why, []).append(candidate)
    return [f"{_titles(some, why)}: {why}" for why, some in lines.items()]


def _titles(some: Sequence[Candidate], why: str) -> str:
    """What they are called; of many that would do as well their branches."""
    if why == ALSO and len(some) > 3:
        branches = sorted({candidate.branch for candidate in some})
        return f"{len(some)} others, of {', '.join(map(str, branches))}"
    return ", ".join(candidate.title for candidate in some)


def _refuse_unread(site: Site) -> None:
    virtualization, there = site.observed.virtualization, site.observed.driver_installed
    if isinstance(virtualization, Unknown) and not site.assumed:
        refuse(
            [f"gpurig cannot tell whether this is a container ({virtualization.reason})"],
            by_hand(site),
        )
    if isinstance(there, Unknown):
        refuse([f"gpurig cannot tell which driver is installed ({there.reason})"], by_hand(site))


def _refuse_unknown(site: Site, draft: Draft) -> None:
    unknown = sorted({gpu.id for gpu in site.gpus if gpu.architecture is None})
    if not unknown:
        return
    ids = ", ".join(unknown)
    if "auto" in (site.settings.driver_branch, site.settings.driver_flavour):
        refuse(
            [f"GPU {ids} is not in gpurig's tables, so gpurig cannot choose a driver"],
            WayOut(
                "set rig_driver_branch and rig_driver_flavour yourself",
                "gpurig cannot check that they fit this GPU",
            ),
            *(use_some(site) if len(unknown) < len(site.kinds) else ()),
            by_hand(site),
        )
    draft.warn(
        f"GPU {ids} is not in gpurig's tables; gpurig cannot check"
        " that the driver of your settings supports it"
    )


def _refuse_impossible(site: Site, gpus: list[Demand]) -> None:
    """Refuse GPUs that no driver at all drives together."""
    if smallest := smallest_conflict(every_pair(), gpus):
        away = WayOut("move one of them to another host", "each host then gets its own driver")
        sentences = list(dict.fromkeys(demand.sentence for demand in smallest))
        refuse(
            [*sentences, "all GPUs of a host share one driver"], *use_some(site), away, on_cpu(site)
        )


def _refuse_all(site: Site, found: list[Candidate], demands: list[Demand]) -> None:
    smallest = smallest_conflict(found, demands)
    sentences = [demand.sentence for demand in smallest]
    ways = list(dict.fromkeys(demand.way_out for demand in smallest if demand.way_out))
    if not found:
        refuse(
            [f"gpurig knows no driver for {site.distribution.name}"], by_hand(site), on_cpu(site)
        )
    if len(found) == 1 and found[0].installed:
        only = found[0]
        why = "; ".join(objections(only, smallest))
        there = f"the installed driver {only.version} ({only.flavour}, {only.source})"
        sentences.append(f"{there}: {why}")
        ways.append(WayOut("remove the installed driver", "gpurig installs another"))
    else:
        sentences.append(_can_have(site, found, smallest))
    if not any(demand.way_out for demand in smallest):
        ways.append(on_cpu(site))
    ways += use_some(site) if len(site.kinds) > 1 else []
    refuse(sentences, *ways, by_hand(site))


def _can_have(site: Site, found: list[Candidate], smallest: list[Demand]) -> str:
    titles = " and ".join(dict.fromkeys(c.title for c in found if c.source != "nvidia"))
    numbers_ = dict.fromkeys(str(c.branch) for c in found if c.source == "nvidia")
    brings = [titles] if titles else []
    brings += [f"{', '.join(numbers_)} from NVIDIA"] if numbers_ else []
    why = list(dict.fromkeys(why for c in found for why in objections(c, smallest)))
    return f"drivers for {site.distribution.name}: {' and '.join(brings)} ({'; '.join(why)})"
