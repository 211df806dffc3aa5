"""One host's part of the page, in the order in which a person asks."""

from __future__ import annotations

from collections import Counter
from datetime import date

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.result import HostResult, ProofVerdict
from gpurig.report.facts import readable
from gpurig.report.html import proofs
from gpurig.report.html.markup import (
    card,
    dotted,
    escape,
    folded,
    items,
    lines,
    pairs,
    prose,
    table,
    tag,
)
from gpurig.report.html.results import curves, results
from gpurig.report.machine import machine, name, own_name
from gpurig.report.software import Part, software
from gpurig.report.tasks import Task, is_read_again, tasks
from gpurig.report.training import trainings
from gpurig.report.units import count, duration
from gpurig.report.verdict import Tone, headline
from gpurig.stack import explain
from gpurig.stack.model import Stack

_SIGNS: dict[Tone, str] = {"good": "✓", "plain": "•", "attention": "!", "bad": "✗"}
_KINDS: dict[str, tuple[str, Tone]] = {
    "failed": ("failed", "bad"),
    "conflict": ("conflict", "bad"),
    "unknown": ("unknown", "bad"),
    "due": ("needs you", "attention"),
    "open": ("to do", "attention"),
}
_COMPONENTS = {"cuda": "CUDA", "docker": "Docker", "container-toolkit": "container toolkit"}
_STANDS: dict[Verdict, tuple[str, Tone]] = {
    Verdict.HOLDS: ("right", "good"),
    Verdict.DRIFTED: ("not done", "attention"),
    Verdict.FOLLOWS: ("not done", "attention"),
    Verdict.DUE: ("needs you", "attention"),
    Verdict.UNKNOWN: ("unknown", "bad"),
    Verdict.LEFT_OUT: ("left out", "plain"),
}


def part(result: HostResult, command: str, log: str, kicker: str, anchor: str = "") -> str:
    """
    The part.

    + anchor: where links lead to, for one host of several; kicker: the line above, as HTML
    """
    level, at = ("h2", f" id={anchor}") if anchor else ("h1", "")
    head = f"<p class=kicker>{kicker}</p><{level}{at}>{dotted(name(result))}</{level}>"
    cards = [
        card("What to do", _tasks(tasks(result, command), log)),
        _lead(result, command),
        card("Good to know", items(map(prose, _notes(result)), "list")),
        proofs.proofs(result),
        card("More", _folds(result), "long"),
    ]
    # What was changed matters most where something is wrong.
    wrong = headline(result, command).tone in ("bad", "attention")
    cards.insert(1 if wrong else 4, card(*_changes(result, command), "long"))
    kind = " class=host" if anchor else ""
    head += _verdict(result, command)
    return f"<article{kind}>\n<header>{head}</header>\n" + "\n".join(cards) + "\n</article>"


def _verdict(result: HostResult, command: str) -> str:
    line = headline(result, command)
    own = own_name(result)
    called = f"It calls itself {own}. " if own and own != name(result) else ""
    return (
        f"<div class='verdict {line.tone}'><i aria-hidden=true>{_SIGNS[line.tone]}</i>"
        f"<div><b>{escape(line.title)}</b><span>{prose(line.sentence)}</span></div></div>\n"
        f"<p class=dim>{escape(called)}{prose(_counted(result))}</p>"
    )


def _counted(result: HostResult) -> str:
    verdicts = Counter(proof.verdict for proof in result.proofs)
    told = []
    if result.final:
        told.append(f"{count(len(result.changed), 'change')} made")
    if passed := verdicts[ProofVerdict.PASSED]:
        told.append(f"{count(passed, 'proof')} passed")
    if other := verdicts[ProofVerdict.NOT_APPLICABLE]:
        told.append(f"{other} {'does' if other == 1 else 'do'} not apply to this machine")
    if result.seconds >= 1:
        told.append(f"it took {duration(result.seconds)}")
    return _sentence(", ".join(told)) if told else ""


def _tasks(left: list[Task], log: str) -> str:
    if not left:
        return ""
    where = f"<p class=log>The log has every command and its output: <code>{escape(log)}</code></p>"
    serious = any(task.kind in ("failed", "unknown") for task in left)
    return "".join(map(_task, left)) + (where if log and serious else "")


def _task(task: Task) -> str:
    word, tone = _KINDS[task.kind]
    about = f" <code class=id>{dotted(task.about)}</code>" if task.about else ""
    do = f"<p>{prose(_sentence(task.do))}</p>" if task.do else ""
    return (
        f"<div class=task>{tag(word, tone)}"
        f"<div><p>{prose(_sentence(task.what, capital=False))}{about}</p>{do}</div></div>"
    )


def _sentence(text: str, capital: bool = True) -> str:
    """With a full stop, and a capital where it does not begin with a name."""
    text = text[:1].upper() + text[1:] if capital else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _notes(result: HostResult) -> list[str]:
    warnings = result.answer.warnings if result.answer else ()
    return [_sentence(told, capital=False) for told in (*result.notes, *warnings)]


def _lead(result: HostResult, command: str) -> str:
    """What was trained, the machine and its software: side by side where there is room."""
    measured = trainings(result.proofs)
    rows = [(title, prose(what)) for title, what in machine(result)]
    about = card("Machine", pairs(rows) if rows else "")
    parts = _software(result, is_read_again(result, command))
    about += card("Software", pairs(parts) if parts else "")
    if len(measured) == 1:
        return f"<div class=lead>{results(measured)}<div>{about}</div></div>"
    beside = f"<div class=two>{about}</div>" if about else ""
    return results(measured) + beside + curves(measured)


def _software(result: HostResult, fresh: bool) -> list[tuple[str, str]]:
    parts = [(one.name, _part(one, fresh)) for one in software(result)]
    if not isinstance(result.answer, Stack):
        return parts
    by_reason: dict[str, list[str]] = {}
    for item in result.answer.left_out:
        name = _COMPONENTS.get(item.component, item.component)
        by_reason.setdefault(item.reason, []).append(name)
    left_out = [prose(f"{', '.join(names)}: {reason}") for reason, names in by_reason.items()]
    month = f"{date.today():%Y-%m}"
    ends = [prose(f"{end.what} {explain.support(end, month)}") for end in result.answer.ends]
    parts += [("Left out", "<br>".join(left_out))] if left_out else []
    return parts + ([("Support", "<br>".join(ends))] if ends else [])


def _part(one: Part, fresh: bool) -> str:
    told = prose(one.version) + (f", {prose(one.more)}" if one.more else "")
    if one.there:
        return told
    return f"{told} {tag('not installed' if fresh else 'not read again', 'attention')}"


def _changes(result: HostResult, command: str) -> tuple[str, str]:
    """The title and the table of what was changed, or is to be."""
    fresh = is_read_again(result, command)
    after = {finding.id: finding for finding in result.now}
    changed = {finding.id for finding in result.changed}
    rows = [
        _change(before, after.get(before.id, before) if fresh else None)
        for before in result.plan
        if before.id in changed or before.verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)
    ]
    if not rows:
        return "", ""
    if result.final or not fresh:
        return "Changes", table(["what", "before", "now"], rows)
    return "To change", table(["what", "now"], [row[:2] for row in rows])


def _change(before: Finding, after: Finding | None) -> list[str]:
    what = prose(_sentence(before.will)) if before.will else ""
    about = f"<code class=id>{dotted(before.id)}</code>"
    differs = before.actual or before.reason
    wanted = f" <span class=dim>&rarr; {prose(before.wanted)}</span>" if before.actual else ""
    now = _stands(after) if after else tag("not read again", "attention")
    return [f"{what}<span class=sub>{about}</span>", prose(differs) + wanted, now]


def _stands(finding: Finding) -> str:
    word, tone = _STANDS[finding.verdict]
    shows = finding.verdict not in (Verdict.HOLDS, Verdict.DRIFTED) and finding.reason
    return tag(word, tone) + (f" {prose(finding.reason)}" if shows else "")


def _folds(result: HostResult) -> str:
    right = [
        f"<code>{dotted(finding.id)}</code> <span class=dim>{prose(finding.reason)}</span>"
        for finding in result.plan
        if finding.verdict is Verdict.HOLDS
    ]
    facts = [f"{section:18} {text}" for section, text in readable(result.facts)]
    month = f"{date.today():%Y-%m}"
    why = explain.readable(result.answer, month) if result.answer is not None else []
    return "".join(
        [
            proofs.not_applicable(result),
            folded(f"{count(len(right), 'promise')} already right", items(right)),
            folded("Why these versions", lines(why) if why else ""),
            folded("Facts that were read", lines(facts) if facts else ""),
            proofs.measured(result),
        ]
    )
