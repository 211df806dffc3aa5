"""What a person sees while a run goes on: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import gevent
from gevent.lock import BoundedSemaphore
from rich.console import Group
from rich.live import Live
from rich.text import Text

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.progress import Progress
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.hosts.passwords import typed
from gpurig.operations.shared.words import few
from gpurig.report import plan
from gpurig.report.live import Row, fitted, view
from gpurig.report.shown import shown_line
from gpurig.report.terminal import Hanging, Terminal, YesOrNo
from gpurig.report.units import duration
from gpurig.settings.options import DEFAULTS, Options
from gpurig.settings.table import Settings

MOVING_COLUMNS = 80  # that such a line gives to what the step printed
QUIET_SECONDS = 30  # without a terminal, how often a long step says that it moves

LAYERS = {"environment": "environments"}  # how a layer is called, where its ids do not say so

STYLES = {
    ProofVerdict.PASSED: "green",
    ProofVerdict.FAILED: "bold red",
    ProofVerdict.UNKNOWN: "red",
    ProofVerdict.DUE: "magenta",
    ProofVerdict.NOT_APPLICABLE: "dim",
    ProofVerdict.NOT_RUN: "dim",
}


class Screen:
    """
    A `Listener` that prints.

    + settings: of each host, by its name, for the text above the question
    + quiet: print nothing (for ``--json``)
    + options: of the run; where they ask, the plans of all hosts are shown together
    """

    def __init__(
        self,
        hosts: Sequence[str],
        quiet: bool = False,
        options: Options = DEFAULTS,
        settings: Mapping[str, Settings] = MappingProxyType({}),
    ) -> None:
        self.options, self.settings = options, settings
        self.console = Terminal(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())
        self.rows = {host: Row() for host in hosts}
        self.todo: dict[str, set[str]] = {}  # by host: planned promises not looked at since
        self.live: Live | None = None
        self.turn = BoundedSemaphore()  # of those that ask
        self.ticker: gevent.Greenlet | None = None

    def __enter__(self) -> Screen:
        if self.console.is_terminal and not self.console.quiet:
            self.live = Live(
                console=self.console,
                get_renderable=self._render,
                transient=True,
                auto_refresh=False,
            )
            self.live.start()
        self.ticker = gevent.spawn(self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        if self.ticker is not None:
            self.ticker.kill()
        if self.live is not None:
            self.live.stop()
            self.live = None

    def stage(self, host: str, text: str) -> None:
        row = self.rows[host]
        row.enter(text)
        if text == "changing":
            row.of = len(self.todo.get(host, ()))
        if self.live is None:
            self._say(host, text, "dim")

    def line(self, host: str, text: str) -> None:
        self.rows[host].line(text)

    def progress(self, host: str, progress: Progress) -> None:
        self.rows[host].progress(progress)

    def finding(self, host: str, finding: Finding) -> None:
        row = self.rows[host]
        if row.stage != "changing":
            return
        todo = self.todo.get(host, set())
        todo.discard(finding.id)
        row.number = min(max(1, row.of - len(todo)), row.of)
        if finding.verdict is Verdict.DRIFTED:
            row.begin(finding.will, LAYERS.get(layer := finding.id.partition(".")[0], layer))

    def done(self, host: str, finding: Finding) -> None:
        seconds = time.monotonic() - self.rows[host].since
        told = f"{'done':8} {finding.id}: {finding.will}"
        self._say(host, told, "green", 9, f"({duration(seconds)})")
        self.rows[host].begin()

    def planned(self, result: HostResult) -> None:
        todo = result.planned(Verdict.DRIFTED, Verdict.FOLLOWS)
        self.todo[result.name] = {finding.id for finding in todo}
        if self.options.ask or self.options.command == "verify" or not todo or self.console.quiet:
            return
        if self.console.is_terminal:
            told = plan.expected(result, self.options, self.settings[result.name])
            self._print([*plan.changes([result]), *(Text(f"  {shown_line(one)}") for one in told)])
        else:
            for line in plan.lines(result):
                self.console.print(Text(shown_line(line)))

    def proving(self, host: str, title: str, number: int, of: int) -> None:
        row = self.rows[host]
        row.number, row.of = number, of
        row.begin(title)

    def proof(self, host: str, proof: Proof) -> None:
        self.rows[host].begin()
        if proof.verdict is ProofVerdict.NOT_APPLICABLE:
            return  # counted at the end; the report has each with its reason
        reason = f": {proof.reason}" if proof.reason else ""
        self._say(
            host,
            f"{proof.verdict.value:14} {proof.title}{reason}",
            STYLES[proof.verdict],
            15,
            f"({duration(proof.seconds)})",
        )

    def finished(self, result: HostResult) -> None:
        self.rows[result.name].enter("finished")
        for error in result.errors if len(self.rows) > 1 else ():  # the last lines have them too
            self._say(result.name, str(error), "red")

    def asked(self, results: list[HostResult]) -> bool:
        self._pause()
        for alike in plan.grouped(results, self.options, self.settings):
            self._print(alike)
        yes = self._yes(f"Change {few([result.name for result in results])}?")
        self._resume()
        return yes

    def asked_to_reboot(self, host: str) -> bool:
        with self.turn:
            self._pause()
            yes = self._yes(f"Reboot {host} now?")
            self._resume()
            return yes

    def password(self, prompt: str) -> str | None:
        self._pause()
        try:
            return typed(prompt)
        finally:
            self._resume()

    def _yes(self, question: str) -> bool:
        return bool(YesOrNo.ask(shown_line(question), console=self.console, default=False))

    def _print(self, paragraphs: Sequence[Text]) -> None:
        for paragraph in paragraphs:
            self.console.print(Hanging(paragraph))

    def _pause(self) -> None:
        if self.live is not None:
            self.live.stop()

    def _resume(self) -> None:
        if self.live is not None:
            self.live.start()

    def _say(self, host: str, text: str, style: str = "", by: int = 4, end: str = "") -> None:
        name = Text(f"{shown_line(host)}  " if len(self.rows) > 1 else "", "bold")
        told = name + Text(shown_line(text), style)
        if self.console.is_terminal:
            self.console.print(Hanging(told, len(name) + by, end))
        else:
            self.console.print(told + Text(f" {end}" if end else "", style))

    def _tick(self) -> None:
        quiet: dict[str, float] = {}
        while True:
            gevent.sleep(0.25 if self.live is not None else 1)
            if self.live is not None:
                self.live.refresh()
                continue
            for host, row in self.rows.items():
                spent = time.monotonic() - row.since
                said = quiet.get(host, row.since)
                if row.step and time.monotonic() - max(said, row.since) > QUIET_SECONDS:
                    quiet[host] = time.monotonic()
                    moving = fitted(shown_line(row.moving), MOVING_COLUMNS)
                    told = f"{'...':8} {row.step}, {duration(spent)}: {moving}"
                    self._say(host, told.rstrip(": "), "dim")

    def _render(self) -> Group:
        size = self.console.size
        return Group(*view(self.rows, size.width, size.height - 1))
