"""What `gpurig up`, `plan`, `verify` and `facts` do; each answers its exit code."""

from __future__ import annotations

import shutil
import sys
import textwrap

from gpurig.cli.asked import Asked
from gpurig.engine.result import HostResult, exit_code
from gpurig.engine.run import Interrupted, run
from gpurig.engine.runner import prepare_engine
from gpurig.hosts.greenlets import INTERRUPTED
from gpurig.report import run_log, run_report, summary
from gpurig.report.facts import readable
from gpurig.report.frame import as_text, of_run
from gpurig.report.screen import Screen
from gpurig.report.shown import say, say_lines
from gpurig.settings import mounted
from gpurig.settings.redaction import secrets_of
from gpurig.wheels import datasets


def work(asked: Asked) -> int:
    """`up`, `plan` and `verify`: one run that goes as far as its verb says."""
    for spec in asked.hosts:
        mounted.refuse_unmounted(spec.settings, spec.name)
        datasets.refuse_wrong(spec.settings, spec.name, here=spec.transport == "local")
    prepare_engine()
    asked = asked.ready()
    options, command = asked.options, asked.options.command
    names = [spec.name for spec in asked.hosts]
    settings = {spec.name: spec.settings for spec in asked.hosts}
    folder = run_log.open_run(options, secrets_of(spec.data for spec in asked.hosts), names)
    with Screen(names, options.silent, options, settings) as screen:
        try:
            results = run(asked.hosts, options, screen)
            code = exit_code(command, results)
        except Interrupted as interrupted:
            results, code = interrupted.results, INTERRUPTED
    written = run_report.write(folder, command, results, code)
    if options.as_json:
        say(as_text(of_run(command, results)))
        return code
    for spec, result in zip(asked.hosts, results, strict=True):
        lines = summary.ending(result, spec.settings, command)
        say_lines(summary.verdict(lines) if options.quiet else ["", *lines])
    if not options.quiet:
        say(f"report: {written}")
    if code not in (0, 3, 4):
        say(f"log: {folder / 'log'}")
    return code


def facts(asked: Asked) -> int:
    """Everything that is there, for people or as JSON."""
    results = read(asked)
    if asked.options.as_json:
        say(as_text(of_run("facts", results)))
    else:
        for result in results:
            _facts_lines(result)
    return exit_code("facts", results)


def _facts_lines(result: HostResult) -> None:
    lines = [f"{result.name}:", *(f"  error: {error.told(result.name)}" for error in result.errors)]
    for section, text in readable(result.facts):
        lines += _folded(f"  {section:18} {text}", 21)
    say_lines(lines)


def _folded(line: str, indent: int) -> list[str]:
    """A line as a terminal's width has it; elsewhere, where programs read it, it stays one."""
    if not sys.stdout.isatty():
        return [line]
    width = max(shutil.get_terminal_size().columns, 40)
    return textwrap.wrap(line, width, subsequent_indent=" " * indent) or [line]


def read(asked: Asked) -> list[HostResult]:
    """What a verb that changes nothing and shows no progress finds out of each host."""
    prepare_engine()
    names = [spec.name for spec in asked.hosts]
    run_log.open_run(asked.options, secrets_of(spec.data for spec in asked.hosts), names)
    with Screen(names, quiet=True) as screen:
        return run(asked.hosts, asked.options, screen)
