"""What a person sees while a run goes on: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import gevent
from rich.console import Group
from rich.live import Live
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from gpurig.contract.promise import Finding, Verdict
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report.shown import shown_line
from gpurig.report.terminal import Terminal

QUIET_SECONDS = 30  # without a terminal, how often a long step says that it moves

STYLES = {
    Verdict.HOLDS: "green",
    Verdict.DRIFTED: "yellow",
    Verdict.FOLLOWS: "yellow",
    Verdict.DUE: "magenta",
    Verdict.UNKNOWN: "red",
    Verdict.LEFT_OUT: "dim",
    ProofVerdict.PASSED: "green",
    ProofVerdict.FAILED: "bold red",
    ProofVerdict.UNKNOWN: "red",
    ProofVerdict.DUE: "magenta",
    ProofVerdict.NOT_APPLICABLE: "dim",
    ProofVerdict.NOT_RUN: "dim",
}


@dataclass
class _Row:
    """What one host is doing now."""

    stage: str = "waiting"
    doing: str = ""
    line: str = ""
    since: float = field(default_factory=time.monotonic)

    def begin(self, stage: str, doing: str = "") -> None:
        self.stage, self.doing, self.line, self.since = stage, doing, "", time.monotonic()


class Screen:
    """
    A `Listener` that prints.

    + quiet: print nothing (for ``--json``)
    + asks: whether the plans of all hosts are shown together, with a question
    """

    def __init__(self, hosts: list[str], quiet: bool = False, asks: bool = False) -> None:
        self.asks = asks
        self.console = Terminal(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())
        self.rows = {host: _Row() for host in hosts}
        self.changing: set[str] = set()
        self.live: Live | None = None
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
        self.rows[host].begin(text)
        if text == "changing":
            self.changing.add(host)
        elif text == "reading again":
            self.changing.discard(host)
        if self.live is None:
            self._say(host, text, "dim")

    def line(self, host: str, text: str) -> None:
        if text.strip():
            self.rows[host].line = text.strip().rpartition("\r")[2]  # as a terminal shows progress

    def finding(self, host: str, finding: Finding) -> None:
        if host in self.changing and finding.verdict is Verdict.DRIFTED:
            self.rows[host].begin(finding.id, finding.will)

    def done(self, host: str, finding: Finding) -> None:
        seconds = time.monotonic() - self.rows[host].since
        self._say(host, f"{'done':8} {finding.id}: {finding.will} ({_seconds(seconds)})", "green")
        self.rows[host].begin("changing")

    def planned(self, result: HostResult) -> None:
        if self.asks or not result.planned(Verdict.DRIFTED, Verdict.FOLLOWS):
            return
        if self.console.is_terminal:
            self.console.print(plan_table([result]))
        else:
            for line in plan_lines(result):
                self.console.print(Text(shown_line(line)))

    def proof(self, host: str, proof: Proof) -> None:
        self.rows[host].begin("proving")
        if proof.verdict is ProofVerdict.NOT_APPLICABLE:
            return  # counted at the end; the report has each with its reason
        reason = f": {proof.reason}" if proof.reason else ""
        self._say(
            host,
            f"{proof.verdict.value:14} {proof.title}{reason} ({_seconds(proof.seconds)})",
            STYLES[proof.verdict],
        )

    def finished(self, result: HostResult) -> None:
        self.rows[result.name].begin("finished")
        for error in result.errors:
            self._say(result.name, str(error), "red")

    def asked(self, results: list[HostResult]) -> bool:
        self._pause()
        self.console.print(plan_table(results))
        hosts = [r.name for r in results if r.planned(Verdict.DRIFTED, Verdict.FOLLOWS)]
        yes = bool(Confirm.ask(f"Change {', '.join(hosts)}?", console=self.console, default=False))
        self._resume()
        return yes

    def asked_to_reboot(self, host: str) -> bool:
        self._pause()
        yes = bool(Confirm.ask(f"Reboot {host} now?", console=self.console, default=False))
        self._resume()
        return yes

    def _pause(self) -> None:
        if self.live is not None:
            self.live.stop()

    def _resume(self) -> None:
        if self.live is not None:
            self.live.start()

    def _say(self, host: str, text: str, style: str = "") -> None:
        name = f"{host}  " if len(self.rows) > 1 else ""
        self.console.print(Text(name, "bold") + Text(shown_line(text), style))

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
                if row.doing and time.monotonic() - max(said, row.since) > QUIET_SECONDS:
                    quiet[host] = time.monotonic()
                    self._say(host, f"{'...':8} {row.doing}, {_seconds(spent)}: {row.line}", "dim")

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2), expand=True)
        for width in (None, None, 8):
            table.add_column(no_wrap=True, width=width)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
        for host, row in self.rows.items():
            if row.stage in ("finished", "waiting"):
                continue
            spent = _seconds(time.monotonic() - row.since)
            told = f"{row.doing}: {row.line}" if row.doing and row.line else row.doing or row.line
            table.add_row(Text(host, "bold"), Text(row.stage, "cyan"), spent, told)
        return Group(table)


def plan_table(results: list[HostResult]) -> Table:
    """What will change and why, a row a promise; what waits or is unknown among it."""
    names = ", ".join(result.name for result in results)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.title, table.title_justify = f"What will change on {names}", "left"
    table.title_style = "bold"
    many = len(results) > 1
    for _ in range(2 + many):
        table.add_column(overflow="fold")
    for result in results:
        shown = (Verdict.DRIFTED, Verdict.FOLLOWS, Verdict.DUE, Verdict.UNKNOWN)
        for finding in result.planned(*shown):
            text = Text(finding.will or f"{finding.verdict.value}: {finding.reason}")
            if finding.verdict is Verdict.DRIFTED:
                text.append(f"\n{finding.actual} -> {finding.wanted}", "dim")
            if finding.leaves:
                text.append(f"; keeps {finding.leaves}", "dim")
            row = Text(finding.id, STYLES[finding.verdict])
            table.add_row(*([result.name] if many else []), row, text)
    return table


def plan_lines(result: HostResult) -> list[str]:
    """The same as plain lines, one a promise, for logs."""
    lines = [f"What will change on {result.name}"]
    for finding in result.planned(Verdict.DRIFTED, Verdict.FOLLOWS, Verdict.DUE, Verdict.UNKNOWN):
        told = f"{finding.verdict.value}: {finding.reason}"
        if finding.verdict is Verdict.DRIFTED:
            told = f"{finding.will} ({finding.actual} -> {finding.wanted})"
        leaves = f"; keeps {finding.leaves}" if finding.leaves else ""
        lines.append(f"  {finding.id}: {told}{leaves}")
    return lines


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
