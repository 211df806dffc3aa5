"""What a driver must meet, and the smallest set of demands that none does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from gpurig.stack.gpus import called, driven_by, row_of
from gpurig.stack.model import Flavour, Gpu, WayOut
from gpurig.stack.site import Site


@dataclass(frozen=True)
class Demand:
    """One thing a driver must meet; `against` says why a branch and flavour do not."""

    sentence: str
    against: Callable[[int, Flavour], str | None]
    way_out: WayOut | None = None


def of_gpu(gpu: Gpu) -> Demand:
    """The demand that the driver drives this GPU, whose architecture is known."""
    row = row_of(gpu.id)
    assert row is not None  # only asked of GPUs with an architecture
    return Demand(f"the GPU {called(gpu)}", lambda branch, kind: driven_by(row, branch, kind))


def of_settings(site: Site) -> list[Demand]:
    """The demands of rig_driver_branch and rig_driver_flavour."""
    branch, flavour = site.settings.driver_branch, site.settings.driver_flavour
    demands = []
    if branch != "auto":
        drop = WayOut("leave rig_driver_branch out", "the branch that fits is taken")
        sentence, why = f'rig_driver_branch = "{branch}"', f"branch {branch} is wished for"
        demands.append(Demand(sentence, lambda b, f: None if str(b) == branch else why, drop))
    if flavour != "auto":
        drop = WayOut("leave rig_driver_flavour out", "the flavour that fits is taken")
        sentence, why_not = f'rig_driver_flavour = "{flavour}"', f"flavour {flavour} is wished for"
        demands.append(Demand(sentence, lambda b, f: None if f == flavour else why_not, drop))
    return demands


def objections(pair: tuple[int, Flavour], demands: Sequence[Demand]) -> list[str]:
    """Why this branch and flavour do not meet the demands; empty if they do."""
    said = (demand.against(*pair) for demand in demands)
    return list(dict.fromkeys(why for why in said if why))


def smallest_conflict(
    candidates: Sequence[tuple[int, Flavour]], demands: Sequence[Demand]
) -> list[Demand]:
    """The smallest set of demands that no candidate meets, or none if one meets all."""
    for size in range(1, len(demands) + 1):
        for some in combinations(demands, size):
            if all(any(demand.against(*pair) for demand in some) for pair in candidates):
                return list(some)
    return []
