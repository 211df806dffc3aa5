"""What a person and a program are told of a training: live lines, the last lines, the JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from gpurig.contract.values import is_number
from gpurig.errors import InputError
from gpurig.report import SCHEMA
from gpurig.report.shown import shown_line
from gpurig.report.terminal import Terminal
from gpurig.training.training import Outcome, Wish
from gpurig.training.workload import ranks

COLOURS = ("cyan", "green", "magenta", "blue", "yellow")


class Lines:
    """
    A `Listener` that prints the lines of all hosts side by side, the host's name before each.

    + quiet: print nothing (for ``--json``)
    """

    def __init__(self, hosts: Sequence[str], quiet: bool = False) -> None:
        self.console = Terminal(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())
        self.width = max(map(len, hosts))
        self.colours = {host: COLOURS[n % len(COLOURS)] for n, host in enumerate(hosts)}

    def stage(self, text: str) -> None:
        self.console.print(Text(shown_line(text), "dim"))

    def line(self, host: str, text: str) -> None:
        name = Text(f"{host:{self.width}} | ", f"bold {self.colours[host]}")
        self.console.print(name + Text(shown_line(text)))


def exit_code(outcome: Outcome) -> int:
    """0: passed; 2: nothing was started because of what was asked for or found; else 1."""
    if not outcome.errors:
        return 0
    asked_wrongly = any(isinstance(error, InputError) for error in outcome.errors)
    return 2 if asked_wrongly or not outcome.connected else 1


def ending(outcome: Outcome) -> list[str]:
    """The last lines: what came of it, in the order in which a person wants it."""
    lines = []
    for host, last in outcome.last.items():
        lines += [f"{host}: its last lines:", *(f"  {line}" for line in last)]
    told, ok = outcome.told, not outcome.errors
    hosts = ", ".join(node.name for node in outcome.nodes) or "no host"
    lines.append(f"{hosts}: {'trained' if ok else 'not trained'} in {outcome.seconds:.0f} s")
    lines += [f"  error: {error}" for error in outcome.errors]
    return lines + _told(outcome, told) if told else lines


def _told(outcome: Outcome, told: Mapping[str, Any]) -> list[str]:
    """What the workload told, in words."""
    lines = []
    if is_number(told.get("accuracy")):
        lines.append(f"  accuracy: {told['accuracy']:.4f} (threshold {told.get('threshold')})")
    data = told.get("data")
    source = str(data.get("source", "")) if isinstance(data, dict) else ""
    if source.startswith("fallback"):
        lines.append(f"  {source}")
    weights = [rank["weights_sha256"] for rank in ranks(told)]
    if len(set(weights)) == 1:
        count = len(weights)
        lines.append(f"  weights: the same on {count} ranks (sha256 {weights[0][:16]}…)")
    if is_number(told.get("images_per_second")) and told["images_per_second"]:
        lines.append(f"  images/s: {told['images_per_second']:,.0f}{_compared(outcome)}")
    return lines


def _compared(outcome: Outcome) -> str:
    if outcome.speed_up is None or outcome.alone is None:
        return ""
    alone = outcome.alone["images_per_second"]
    first = outcome.nodes[0].name
    return f", {outcome.speed_up:.2f} times as many as one process on {first} ({alone:,.0f})"


def frame(outcome: Outcome, wish: Wish) -> dict[str, Any]:
    """The JSON of ``train --json``."""
    speed_up = outcome.speed_up
    return {
        "schema": SCHEMA,
        "command": "train",
        "hosts": {
            node.name: {
                "processes": node.processes,
                "gpus": node.gpus,
                "address": node.address,
                "interface": node.interface,
                "versions": dict(node.versions),
                "last_lines": outcome.last.get(node.name, []),
                "errors": [e.as_json() for e in outcome.errors if e.host == node.name],
            }
            for node in outcome.nodes
        },
        "errors": [error.as_json() for error in outcome.errors],
        "training": {
            "engine": wish.engine,
            "environment": wish.environment,
            "processes": outcome.processes,
            "result": outcome.told,
            "one_process": outcome.alone,
            "speed_up": round(speed_up, 3) if speed_up else None,
            "seconds": round(outcome.seconds, 2),
        },
    }
