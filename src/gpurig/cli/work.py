"""What `gpurig up`, `plan`, `verify` and `facts` do; each answers its exit code."""

from __future__ import annotations

from gpurig.cli.asked import Asked
from gpurig.engine.result import HostResult, exit_code
from gpurig.engine.run import Interrupted, run
from gpurig.engine.runner import prepare_engine
from gpurig.hosts.greenlets import INTERRUPTED, interruptible
from gpurig.report import run_log, run_report, summary
from gpurig.report.facts import readable
from gpurig.report.screen import Screen
from gpurig.report.shown import say, say_lines
from gpurig.settings.redaction import secrets_of
from gpurig.wheels import datasets


def work(asked: Asked) -> int:
    """`up`, `plan` and `verify`: one run that goes as far as its verb says."""
    for spec in asked.hosts:
        datasets.refuse_wrong(spec.settings, spec.name)
    prepare_engine()
    asked = asked.ready()
    options, command = asked.options, asked.options.command
    folder = run_log.open_run(options.debug, secrets_of(spec.data for spec in asked.hosts))
    names = [spec.name for spec in asked.hosts]
    with (
        interruptible(),
        Screen(names, quiet=options.as_json, asks=options.ask) as screen,
    ):
        try:
            results = run(asked.hosts, options, screen)
            code = exit_code(command, results)
        except Interrupted as interrupted:
            results, code = interrupted.results, INTERRUPTED
    written = run_report.write(folder, command, results, code)
    if options.as_json:
        say(run_report.text(command, results))
        return code
    say("")
    for spec, result in zip(asked.hosts, results, strict=True):
        say_lines(summary.ending(result, spec.settings, command))
    say(f"report: {written}")
    if code not in (0, 3, 4):
        say(f"log: {folder / 'log'}")
    return code


def facts(asked: Asked) -> int:
    """Everything that is there, for people or as JSON."""
    results = read(asked)
    if asked.options.as_json:
        say(run_report.text("facts", results))
    else:
        for result in results:
            _facts_lines(result)
    return exit_code("facts", results)


def _facts_lines(result: HostResult) -> None:
    lines = [f"{result.name}:", *(f"  error: {error}" for error in result.errors)]
    lines += [f"  {section:18} {text}" for section, text in readable(result.facts)]
    say_lines(lines)


def read(asked: Asked) -> list[HostResult]:
    """What a verb that changes nothing and shows no progress finds out of each host."""
    prepare_engine()
    run_log.open_run(asked.options.debug, secrets_of(spec.data for spec in asked.hosts))
    with Screen([spec.name for spec in asked.hosts], quiet=True) as screen:
        return run(asked.hosts, asked.options, screen)
