"""Several hosts at a glance: a row each, which leads to its part of the page."""

from __future__ import annotations

from collections import Counter

from gpurig.engine.result import HostResult
from gpurig.report import machine, software
from gpurig.report.html.markup import dotted, escape, prose, table, tag, whole
from gpurig.report.tasks import tasks
from gpurig.report.training import Training, trainings
from gpurig.report.units import count, share
from gpurig.report.verdict import Tone, headline

_HEADS = ["machine", "verdict", "GPUs", "driver", "frameworks", "accuracy", "speed", "what is left"]
BACK = "<a href='#all'>All machines</a>"  # above each of their parts
_WORST: tuple[Tone, ...] = ("bad", "attention", "plain", "good")


def anchor(number: int) -> str:
    """Where a host's part of the page begins; no host's own words stand in it."""
    return f"host-{number + 1}"


def title(results: list[HostResult]) -> str:
    """How many there are."""
    return count(len(results), "machine")


def told(results: list[HostResult], command: str) -> str:
    """How many stand how: ``10 ready, 1 failed``."""
    lines = [headline(result, command) for result in results]
    counts = Counter(line.title for line in sorted(lines, key=lambda one: _WORST.index(one.tone)))
    return ", ".join(f"{number} {words.lower()}" for words, number in counts.items())


def part(results: list[HostResult], command: str, kicker: str) -> str:
    """The table of all hosts."""
    rows = [_row(number, result, command) for number, result in enumerate(results)]
    return (
        f"<div class=overview id=all><header>"
        f"<p class=kicker>{kicker}</p><h1>{escape(title(results))}</h1>"
        f"<p>{escape(told(results, command))}</p></header>\n"
        f"<section class='card long'>{table(_HEADS, rows)}</section></div>"
    )


def _row(number: int, result: HostResult, command: str) -> list[str]:
    line, measured = headline(result, command), trainings(result.proofs)
    return [
        f"<a href='#{anchor(number)}'>{dotted(machine.name(result))}</a>",
        tag(line.title, line.tone),
        escape(machine.gpus(result)) if result.facts else "",
        whole(software.driver(result)),
        ", ".join(map(whole, software.frameworks(result))),
        prose(_accuracy(measured)),
        prose(_speed(measured)),
        prose(_left(result, command)),
    ]


def _accuracy(measured: list[Training]) -> str:
    """The lowest."""
    known = [(one.accuracy, one.data) for one in measured if one.accuracy is not None]
    if not known:
        return ""
    lowest, data = min(known)
    least = "at least " if len(known) > 1 else ""
    return f"{least}{share(lowest)}" + (f" ({data})" if data not in ("", "MNIST") else "")


def _speed(measured: list[Training]) -> str:
    """The highest."""
    known = [one.speed for one in measured if one.speed is not None]
    up_to = "up to " if len(known) > 1 else ""
    return f"{up_to}{max(known):,.0f} images/s" if known else ""


def _left(result: HostResult, command: str) -> str:
    """The first thing that is left to a person, and how many more."""
    found = tasks(result, command)
    if not found:
        return ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return found[0].what + more
