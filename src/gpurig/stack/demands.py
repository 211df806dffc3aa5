"""What a driver must meet, and the smallest set of demands that no candidate does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from gpurig.stack.candidates import Candidate
from gpurig.stack.model import WayOut

Against = Callable[[Candidate], str | None]


@dataclass(frozen=True)
class Demand:
    """
    One thing a driver must meet.

    + against: why a candidate does not meet it, or None
    + soft: whether the host is still right without it; it then only decides between candidates
    """

    sentence: str
    against: Against
    way_out: WayOut | None = None
    soft: bool = False


def objections(candidate: Candidate, demands: Sequence[Demand]) -> list[str]:
    """Why this candidate does not meet the demands; empty if it does."""
    said = (demand.against(candidate) for demand in demands)
    return list(dict.fromkeys(why for why in said if why))


def smallest_conflict(candidates: Sequence[Candidate], demands: Sequence[Demand]) -> list[Demand]:
    """The smallest set of demands that no candidate meets, or none if one meets all."""
    against = [
        frozenset(n for n, demand in enumerate(demands) if demand.against(candidate))
        for candidate in candidates
    ]
    if not all(against):
        return []
    for size in range(1, len(demands) + 1):
        for some in combinations(range(len(demands)), size):
            if all(not unmet.isdisjoint(some) for unmet in against):
                return [demands[n] for n in some]
    return []
