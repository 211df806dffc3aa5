"""What `gpurig runs`, `runs show` and `runs clean` do; each answers its exit code."""

from __future__ import annotations

import sys

import click

from gpurig.errors import InputError
from gpurig.operations.shared.words import few
from gpurig.report import runs
from gpurig.report.frame import as_text, frame
from gpurig.report.shown import say, say_lines
from gpurig.report.units import count, size


def show_runs(as_json: bool) -> int:
    """All runs, the newest last, and what they take on the disk."""
    found = runs.found()
    if as_json:
        say(as_text(frame("runs", runs=list(map(_as_json, found)))))
        return 0
    say_lines(map(_line, found))
    say(f"{count(len(found), 'run')}, {size(sum(run.size for run in found))}, in {runs.place()}")
    return 0


def show_run(word: str | None, opens: bool) -> int:
    """One run: how it ended, and where its report and its log are; `opens` shows the report."""
    run = runs.named(word)
    say_lines([_line(run)])
    report = run.folder / runs.REPORT
    files = {"report": report, "lines": run.folder / runs.LINES, "log": run.folder / runs.LOG}
    say_lines(f"{what}: {file}" for what, file in files.items() if file.exists())
    if not opens:
        return 0
    if not report.exists():
        raise InputError("run-unopened", "this run has no report", run.name, "read its log")
    if click.launch(str(report)):
        do = "open it in a browser, here or on another machine"
        raise InputError("run-unopened", "nothing on this machine opens it", str(report), do)
    return 0


def clean(keep: int | None, days: int | None, yes: bool) -> int:
    """Delete old runs, after a yes at a terminal; 1 if the answer was no."""
    if keep is None and days is None:
        what, do = "nothing says which runs can go", "use --keep N or --older-than DAYS"
        raise InputError("usage-wrong", what, "runs clean", do)
    old = runs.outdated(keep, days)
    if not old:
        say("no run to delete")
        return 0
    say_lines(map(_line, old))
    told = f"{count(len(old), 'run')}, {size(sum(run.size for run in old))}"
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if person and not yes and not click.confirm(f"Delete {told}?"):
        return 1
    for run in old:
        runs.delete(run)
    say(f"deleted: {told}")
    return 0


def _line(run: runs.Run) -> str:
    words = (run.name, f"{run.began:%Y-%m-%d %H:%M}", f"{run.command or '?':7}", run.verdict)
    return "  ".join([*words, few(run.hosts)]).rstrip()


def _as_json(run: runs.Run) -> dict[str, object]:
    return {
        "run": run.name,
        "folder": str(run.folder),
        "began": run.began.astimezone().isoformat(timespec="seconds"),
        "command": run.command,
        "hosts": list(run.hosts),
        "code": run.code,
        "running": run.running,
        "verdict": run.verdict,
        "bytes": run.size,
    }
