"""What a training leaves to read in the folder of its run: report.json and report.html."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gpurig import store
from gpurig.report import runs
from gpurig.report.html.markup import card, escape, lines, pairs
from gpurig.report.html.page import document
from gpurig.report.units import duration
from gpurig.settings.redaction import Redaction
from gpurig.training import output
from gpurig.training.kept import Kept
from gpurig.training.wish import Outcome, Wish
from gpurig.training.workload import ranks


def write(folder: Path, outcome: Outcome, wish: Wish, redacted: Redaction, kept: Kept) -> Path:
    """Write both; the path of the one that people open."""
    store.write(folder / "report.json", output.as_text(outcome, wish, redacted) + "\n")
    html = folder / runs.REPORT
    store.write(html, page(outcome, wish, kept, redacted))
    return html


def page(outcome: Outcome, wish: Wish, kept: Kept, redacted: Redaction) -> str:
    """
    The verdict, what was measured, the versions, and the last lines of all ranks.

    Secrets go from what is told, before there is any markup.
    """
    now = datetime.now().astimezone()
    hosts = ", ".join(node.name for node in outcome.nodes) or "no host"
    title = f"{hosts}: {output.verdict(outcome)} {duration(outcome.seconds)}"
    program = wish.workload.program or "mnist"
    last = card(f"The last lines (all of them: {runs.LINES})", lines(kept.last))
    said = [redacted(str(error)) for error in outcome.errors]
    started = " ".join([program, *wish.workload.arguments])
    body = "\n".join([
        f"<p>gpurig train, {now.day} {now:%B %Y, %H:%M %Z}</p><h1>{escape(title)}</h1>",
        card("Errors", lines(said) if said else "", "bad"),
        card("Result", lines(map(redacted, output.ending(outcome)))),
        card("Training", pairs([
            ("program", escape(redacted(started))),
            ("engine", escape(f"{wish.engine}, {outcome.processes} processes")),
            *(
                (node.name, escape(redacted(_node(node.versions, node.processes))))
                for node in outcome.nodes
            ),
        ])),
        card("Weights", lines(
            redacted(f"rank {rank['rank']} on {rank['host']}: {rank['weights_sha256']}")
            for rank in ranks(outcome.told or {})
        ) if ranks(outcome.told or {}) else ""),
        last if kept.last else "",
    ])  # fmt: skip
    return document(title, body, "<code>report.json</code> beside this page has it as data.")


def _node(versions: object, processes: int) -> str:
    told = versions if isinstance(versions, dict) else {}
    return ", ".join([f"{processes} processes", *(f"{n} {v}" for n, v in told.items())])
