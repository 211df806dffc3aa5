"""What a run will change, as a person reads it before the answer, and as plain lines for logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.text import Text

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine import disk
from gpurig.engine.result import HostResult
from gpurig.operations.shared.words import few
from gpurig.report.machine import LOCAL
from gpurig.report.shown import shown_line
from gpurig.report.software import label, software
from gpurig.report.units import size
from gpurig.settings.options import Options
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack

# What `up` changes, or may have to after a change before it.
CHANGING = (Verdict.DRIFTED, Verdict.FOLLOWS)
_STYLES = {Verdict.DRIFTED: "yellow", Verdict.DUE: "magenta", Verdict.UNKNOWN: "red"}
# How `actual` reads where something is missing.
_NOTHING = re.compile(r"(no|not|none)\b|[^;]* not installed$")
_COUNTED = {
    Verdict.DRIFTED: "to change",
    Verdict.FOLLOWS: "follow",
    Verdict.HOLDS: "OK",
    Verdict.DUE: "need you",
    Verdict.UNKNOWN: "unknown",
}
_REBOOTS = {
    "never": "you reboot the host yourself",
    "ask": "gpurig asks you first",
    "if-needed": "gpurig reboots the host",
}


def counts(result: HostResult) -> str:
    """``8 to change, 4 follow, 7 OK``."""
    found = {verdict: len(result.planned(verdict)) for verdict in _COUNTED}
    return ", ".join(f"{found[verdict]} {word}" for verdict, word in _COUNTED.items()
                     if found[verdict])  # fmt: skip


def lines(result: HostResult) -> list[str]:
    """One plain line a promise."""
    told = [_title([result])]
    for finding in result.planned(*CHANGING, Verdict.DUE, Verdict.UNKNOWN):
        what = f"{finding.verdict.value}: {finding.reason}"
        if finding.verdict is Verdict.DRIFTED:
            what = f"{finding.will} ({finding.actual} -> {finding.wanted})"
        leaves = f"; keeps {finding.leaves}" if finding.leaves else ""
        told.append(f"  {finding.id}: {what}{leaves}")
    return told


def changes(results: Sequence[HostResult]) -> list[Text]:
    """
    The same as paragraphs of a terminal: what the sentence already says is not said twice.

    + results: hosts with the same plan
    """
    paragraphs = [Text(_title(results), "bold")]
    result = results[0]
    for finding in result.planned(Verdict.DRIFTED, Verdict.DUE, Verdict.UNKNOWN):
        drifted = finding.verdict is Verdict.DRIFTED
        told = finding.will if drifted else f"{finding.verdict.value}: {finding.reason}"
        more = _difference(finding) if drifted else ""
        more += f"; keeps {finding.leaves}" if finding.leaves else ""
        paragraphs.append(
            Text("  ")
            + Text(f"{shown_line(finding.id)}: ", _STYLES[finding.verdict])
            + Text(shown_line(told))
            + Text(shown_line(more), "dim")
        )
    if after := [finding.id for finding in result.planned(Verdict.FOLLOWS)]:
        paragraphs.append(Text(shown_line(f"  then, where needed: {', '.join(after)}"), "dim"))
    return paragraphs


def grouped(
    results: Sequence[HostResult], options: Options, settings: Mapping[str, Settings]
) -> list[list[Text]]:
    """The plan of each host with all that an answer needs; hosts of the same plan share one."""
    alike: dict[tuple[str, ...], list[HostResult]] = {}
    for result in results:
        own = settings[result.name]
        said = [text.plain for text in changes([result])[1:]]
        said += [*expected(result, options, own), *_left_out(result), counts(result)]
        alike.setdefault(tuple(said), []).append(result)
    return [_group(same, options, settings[same[0].name]) for same in alike.values()]


def _group(results: Sequence[HostResult], options: Options, settings: Settings) -> list[Text]:
    first = results[0]
    told = [*expected(first, options, settings), *_left_out(first)]
    each = " each" if len(results) > 1 else ""
    return [
        *changes(results),
        *(Text(f"  {shown_line(line)}") for line in told),
        Text(f"  {counts(first)}{each}", "bold"),
    ]


def _title(results: Sequence[HostResult]) -> str:
    return f"What will change on {few([result.name for result in results])}"


def _difference(finding: Finding) -> str:
    """
    What is there, and what comes in its place.

    Nothing where nothing is there yet, so that the plan of a bare host fits a screen; what is
    wanted goes where the sentence has each of its words.
    """
    if _NOTHING.match(finding.actual):
        return ""
    said = set(finding.will.replace(",", "").split())
    if set(finding.wanted.replace(",", "").split()) <= said:
        return f" ({finding.actual})"
    return f" ({finding.actual} -> {finding.wanted})"


def expected(result: HostResult, options: Options, settings: Settings) -> list[str]:
    """What an answer needs besides: versions, room, what follows, what is left out and why."""
    told = []
    new = [
        f"{part.name} {part.version}" + (f" ({part.more})" if part.more else "")
        for part in software(result)
        if not part.there
    ]
    if new:
        told.append(f"New: {'; '.join(new)}.")
    if isinstance(result.answer, Stack):
        needed = disk.needed(result.answer, settings, result.plan)
        room = [f"{size(count)} in {folder}" for folder, count in needed.items()]
        told += [f"Needs about {' and '.join(room)}."] if room else []
    told += _afterwards(result, options, settings)
    return told + list(_proofs(result, options))


def _afterwards(result: HostResult, options: Options, settings: Settings) -> Iterator[str]:
    todo = {finding.id for finding in result.planned(*CHANGING)}
    if "driver.loaded" in todo:
        local = result.name == LOCAL
        who = _REBOOTS["never" if local else options.reboot or settings.reboot]
        yield f"The driver may need a reboot: {who}."
    if "users.docker-group" in todo and settings.users:
        yield f"For Docker, {few(settings.users)} must log in again."


def _proofs(result: HostResult, options: Options) -> Iterator[str]:
    if options.prove == "never" or not isinstance(result.answer, Stack):
        return
    titles = list(dict.fromkeys(label(one.framework) for one in result.answer.environments))
    if titles:
        yield f"Then gpurig proves it, with a training in {few(titles)} that takes minutes."
    else:
        yield "Then gpurig proves it."


def left_out(findings: Iterable[Finding]) -> list[tuple[str, list[str]]]:
    """What is left out, by reason, since one reason often leaves several out: no GPU."""
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.LEFT_OUT:
            reasons.setdefault(finding.reason, []).append(finding.id)
    return list(reasons.items())


def _left_out(result: HostResult) -> list[str]:
    return [f"Left out: {', '.join(ids)} ({why})." for why, ids in left_out(result.plan)]
