"""What a run of tests spends its time on: how often and how long, and what the processors did."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """
    Seconds by what was done, as in ``boot 2 x 7 s``.

    + spent: how often and how many seconds, by kind
    + hosts: processor seconds of the hosts that are gone
    """

    spent: dict[str, tuple[int, float]] = field(default_factory=dict)
    hosts: float = 0.0

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Count the time of a block under a name."""
        began = time.monotonic()
        try:
            yield
        finally:
            times, seconds = self.spent.get(what, (0, 0.0))
            self.spent[what] = (times + 1, seconds + time.monotonic() - began)

    def told(self) -> str:
        """One line of all of it."""
        ours = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        processors = self.hosts + sum(used.ru_utime + used.ru_stime for used in ours)
        rows = sorted(self.spent.items(), key=lambda row: -row[1][1])
        parts = [f"{what} {times} x {seconds:.0f} s" for what, (times, seconds) in rows]
        return f"processors {processors:.0f} s; " + ", ".join(parts or ["no host"])


CLOCK = Clock()
