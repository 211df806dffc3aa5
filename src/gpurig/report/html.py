"""The report that people open: one self-contained page, no script, nothing from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from html import escape as _html
from typing import Any

from gpurig import __version__
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report import facts, training
from gpurig.report.shown import shown, shown_line
from gpurig.stack import explain

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0 }
td { border-top: 1px solid var(--line) } th { color: var(--dim); font-weight: 500 }
code, pre { font: 13px/1.45 ui-monospace, monospace } pre { overflow-x: auto; margin: .2rem 0 }
.v { white-space: nowrap; font-weight: 600 }
.passed, .holds { color: #2a8c4a } .failed, .unknown { color: #d13438 }
.drifted, .follows, .due { color: #b8720a }
.not-applicable, .not-run, .left-out { color: var(--dim) }
img { max-width: 100%; margin: .5rem 1rem .5rem 0; background: #fff; border-radius: 4px }
details { margin: .5rem 0 } summary { cursor: pointer }
"""

EXITS = {
    0: "everything is right",
    1: "something failed, was not reached or is unknown",
    2: "nothing could be done",
    3: "there is something to do",
    4: "right, but something needs you or is not proven yet",
}


def page(command: str, results: list[HostResult], code: int) -> str:
    """The whole page."""
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    hosts = "\n".join(_host(result) for result in results)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        f"<meta name=viewport content='width=device-width'>"
        f"<title>gpurig {escape(command)}</title><style>{STYLE}</style>\n"
        f"<h1>gpurig {escape(command)}: {escape(EXITS.get(code, ''))}</h1>"
        f"<p>{now}, gpurig {__version__}, exit {code}</p>\n{_overview(results)}\n{hosts}</html>\n"
    )


def escape(text: object) -> str:
    """Text of anybody's, as the page shows it."""
    return _html(shown(str(text)))


def _overview(results: list[HostResult]) -> str:
    rows = []
    for result in results:
        proofs = Counter(proof.verdict for proof in result.proofs)
        told = ", ".join(f"{proofs[v]} {v.value}" for v in ProofVerdict if proofs[v]) or "none"
        error = escape(str(result.errors[0])) if result.errors else ""
        name = f"<a href='#{escape(result.name)}'>{escape(result.name)}</a>"
        rows.append([name, str(len(result.changed)), told, f"{result.seconds:.0f} s", error])
    return _table(["host", "changed", "proofs", "time", "error"], rows)


def _host(result: HostResult) -> str:
    parts = [f"<h2 id='{escape(result.name)}'>{escape(result.name)}</h2>"]
    parts += [f"<p class=failed>{escape(str(error))}</p>" for error in result.errors]
    if result.proofs:
        parts += ["<h3>Proofs</h3>", _proofs(result.proofs)]
    if trained := training.rows(result.proofs):
        cells = [[escape(cell) for cell in row] for row in trained]
        parts += ["<h3>Training</h3>", _table(training.HEADS, cells)]
    if result.plan:
        parts += ["<h3>Promises</h3>", _promises(result)]
    if result.answer is not None:
        parts += ["<h3>Stack and reasons</h3>", _pre(explain.readable(result.answer))]
    if result.facts:
        lines = [f"{section:18} {text}" for section, text in facts.readable(result.facts)]
        parts.append(f"<h3>Facts</h3><details><summary>show</summary>{_pre(lines)}</details>")
    return "\n".join(parts)


def _promises(result: HostResult) -> str:
    final = {finding.id: finding for finding in result.now}
    rows = []
    for before in result.plan:
        after = final.get(before.id, before)
        told = escape(before.reason)
        if not told and before.wanted:
            told = f"{escape(before.actual)} &rarr; {escape(before.wanted)}: {escape(before.will)}"
        rows.append(
            [f"<code>{escape(before.id)}</code>", _verdict(before.verdict.value), told,
             _verdict(after.verdict.value) + (f" {escape(after.reason)}" if result.final else "")]
        )  # fmt: skip
    return _table(["promise", "before", "", "now"], rows)


def _proofs(proofs: list[Proof]) -> str:
    rows, pictures = [], []
    for proof in proofs:
        detail = {key: value for key, value in proof.detail.items() if key != "plots"}
        plots = proof.detail.get("plots")  # a program of the user's may have put anything there
        for name, data in plots.items() if isinstance(plots, dict) else ():
            pictures.append(
                f"<img alt='{escape(name)}' src='data:image/png;base64,{escape(data)}'>"
            )
        more = f"<details><summary>measured</summary>{_pre(_lines(detail))}</details>"
        rows.append(
            [_verdict(proof.verdict.value), escape(proof.title),
             escape(proof.reason) + (more if detail else ""), f"{proof.seconds:.1f} s"]
        )  # fmt: skip
    return _table(["verdict", "proof", "", "time"], rows) + "".join(pictures)


def _lines(detail: dict[str, Any]) -> Iterable[str]:
    return (f"{key}: {value}" for key, value in detail.items())


def _pre(lines: Iterable[str]) -> str:
    return f"<pre>{escape(chr(10).join(map(shown_line, lines)))}</pre>"


def _verdict(verdict: str) -> str:
    return f"<span class='v {verdict}'>{verdict}</span>"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
