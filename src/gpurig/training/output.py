"""What a person and a program are told of a training: live lines, the last lines, the JSON."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from gevent.socket import wait_write
from rich.text import Text

from gpurig.contract.values import is_number
from gpurig.errors import InputError
from gpurig.report import frame
from gpurig.report.shown import shown_line
from gpurig.report.terminal import Terminal
from gpurig.report.units import count, duration, size
from gpurig.settings.redaction import Redaction
from gpurig.training.kept import Kept
from gpurig.training.noise import is_noise
from gpurig.training.wish import Outcome, Results, Wish
from gpurig.training.workload import ranks

_UNSEEN = ("training-left", "training-lost")  # errors after which processes may be left on the host
PIECE = 1000  # characters that a pipe with any room takes whole (pipe(7): 4,096 bytes)
COLOURS = ("cyan", "green", "magenta", "blue", "yellow")


class Lines:
    """
    A `Listener` that prints the lines of all hosts side by side, the host's name before each.

    What frameworks say of themselves is only counted; all lines are kept.

    + kept: the file of the run that has them; quiet: print nothing (for ``--json``)
    """

    def __init__(self, hosts: Sequence[str], kept: Kept, quiet: bool = False) -> None:
        self.kept, self.noise = kept, 0
        self.console = Terminal(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())
        self.width = max(map(len, hosts))
        self.colours = {host: COLOURS[n % len(COLOURS)] for n, host in enumerate(hosts)}

    def stage(self, text: str) -> None:
        self._print(Text(shown_line(text), "dim"))

    def _print(self, text: Text) -> None:
        """
        Piece by piece, as the screen takes them.

        While nobody reads it (Ctrl-S, `less`, a line that is down) hosts are heard all the same:
        they end what nobody hears of.
        """
        if self.console.quiet:
            return
        with self.console.capture() as printed:
            self.console.print(text)
        told = printed.get()
        for start in range(0, len(told), PIECE):
            _taken(self.console.file)
            self.console.file.write(told[start : start + PIECE])
            self.console.file.flush()

    def line(self, host: str, text: str, ending: bool = False) -> None:
        """
        One line of a program.

        + ending: gpurig ends the program, and what it says of that is no news
        """
        self.kept.line(host, text)
        if ending or is_noise(text):
            self.noise += not ending
            return
        name = Text(f"{host:{self.width}} | ", f"bold {self.colours[host]}")
        self._print(name + Text(shown_line(text)))

    def folded(self) -> list[str]:
        """How many lines were not printed, and why lines were not kept."""
        told = []
        if self.noise:
            lines = count(self.noise, "line")
            told.append(f"  {lines} of frameworks about themselves: only in the report")
        if self.kept.cut:
            told.append(f"  the file of all lines ends early ({self.kept.cut})")
        return told


def _taken(stream: IO[str]) -> None:
    """Wait until a pipe or a terminal takes a piece at once, as anything else always does."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        if os.isatty(number) or stat.S_ISFIFO(os.fstat(number).st_mode):
            wait_write(number)


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
    told = outcome.told
    if outcome.nodes:
        hosts = ", ".join(node.name for node in outcome.nodes)
        lines.append(f"{hosts}: {verdict(outcome)} {duration(outcome.seconds)}")
    elif not outcome.interrupted:
        lines.append("nothing was trained: no host is ready for it")
    lines += [f"  error: {error}" for error in outcome.errors]
    if told:
        lines += _told(outcome, told)
    if outcome.compared:
        lines.append(f"  no comparison: one process alone failed ({outcome.compared})")
    return lines + _results(outcome)


def verdict(outcome: Outcome) -> str:
    """How it went, before the time that it took."""
    if outcome.interrupted:
        return "interrupted after"
    unfetched = all(error.code == "training-unfetched" for error in outcome.errors)
    return "trained in" if unfetched else "not trained in"


def interrupted(outcome: Outcome) -> str:
    """The sentence after Ctrl-C."""
    left = [error.host for error in outcome.errors if error.code in _UNSEEN]
    if left:
        return f"interrupted; {', '.join(map(str, left))} did not confirm that all has ended"
    if not outcome.nodes:
        return "interrupted; nothing was started"
    return "interrupted; the training has ended on every host"


def _results(outcome: Outcome) -> list[str]:
    """Where the results are, and what the hosts have had and removed."""
    lines = []
    if here := outcome.fetched:
        files = f"{count(here.files, 'file')}, {size(here.size)}"
        lines.append(f"  results: {outcome.folder} ({files}, from {here.host})")
    gone = "; ".join(f"{one.host}: {_named(one)} ({size(one.size)})" for one in outcome.gone)
    return lines + ([f"  removed with the hosts' private folders: {gone}"] if gone else [])


def _named(results: Results) -> str:
    more = results.files - len(results.names)
    return ", ".join(results.names) + (f" and {count(more, 'more file')}" if more else "")


def _told(outcome: Outcome, told: Mapping[str, Any]) -> list[str]:
    """What the workload told, in words."""
    lines = []
    if is_number(told.get("accuracy")):
        least = told.get("threshold")
        wanted = f" (threshold {least})" if is_number(least) else ""
        lines.append(f"  accuracy: {told['accuracy']:.4f}{wanted}")
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


def as_text(outcome: Outcome, wish: Wish, redacted: Redaction) -> str:
    """The JSON of ``train --json`` and of report.json, without secrets."""
    hosts = {
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
    }
    told = frame.frame("train", hosts, outcome.errors, training=_training(outcome, wish))
    return frame.as_text(redacted.within(told))


def _training(outcome: Outcome, wish: Wish) -> dict[str, Any]:
    speed_up = outcome.speed_up
    return {
        "engine": wish.engine,
        "environment": wish.environment,
        "processes": outcome.processes,
        "result": outcome.told,
        "one_process": outcome.alone,
        "speed_up": round(speed_up, 3) if speed_up else None,
        "one_process_failed": outcome.compared or None,
        "seconds": round(outcome.seconds, 2),
        "interrupted": outcome.interrupted,
        "results": {
            "folder": outcome.folder if outcome.fetched else None,
            "fetched": asdict(outcome.fetched) if outcome.fetched else None,
            "removed": [asdict(one) for one in outcome.gone],
        },
    }
