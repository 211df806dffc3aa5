"""What each verb does: load the inventory, run, report; each answers its exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from rich.prompt import Confirm
from rich.table import Table

from gpurig import report, store
from gpurig.engine import trust as hosts_keys
from gpurig.engine.result import HostResult, exit_code
from gpurig.engine.run import run
from gpurig.engine.runner import prepare_engine
from gpurig.errors import GpurigError, InputError
from gpurig.hosts import inventory
from gpurig.hosts.passwords import with_sudo_password
from gpurig.images import recipe
from gpurig.report import run_log, summary
from gpurig.report.facts import readable as facts_in_words
from gpurig.report.screen import Screen
from gpurig.report.shown import Terminal, say, say_lines, shown_line
from gpurig.settings import programs
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.options import Options
from gpurig.settings.redaction import secrets_of
from gpurig.stack import explain
from gpurig.stack.described import NAME, Given, described
from gpurig.stack.frameworks import refuse_unknown_releases
from gpurig.stack.observed import Observed
from gpurig.stack.resolver import resolve as resolve_stack
from gpurig.stack.tables import tables
from gpurig.wheels import datasets, locks


@dataclass(frozen=True)
class Asked:
    """
    What the command line asked for.

    + hosts: which; wishes: data by ``--set``, which the hosts' data have as well
    """

    hosts: list[inventory.HostSpec]
    wishes: dict[str, Any]
    options: Options

    @classmethod
    def of(cls, command: str, given: dict[str, Any]) -> Asked:
        """Check every word before any host is contacted; InputError says what is wrong."""
        wishes = parse_set(given["wishes"])
        unread = given.get("saved") or given.get("os")
        if inventory.is_file(given["target"]):
            locks.look_beside(Path(given["target"]))
        hosts = [] if unread else inventory.load(given["target"], given["limit"], wishes)
        for spec in hosts:
            where = f"{given['target']}, {spec.name}" if given["target"] else spec.name
            store.refuse_foreign(hosts_keys.ssh_config(spec))
            refuse_unknown_releases(spec.settings, where)
            recipe.refuse_unreadable(spec.settings, where)
            programs.refuse_unreadable(spec.settings, where)
        return cls(hosts, wishes, Options.of(command, given))

    def ready(self) -> Asked:
        """With whether a person can be asked, and with the passwords that they give for sudo."""
        person = sys.stdin.isatty() and sys.stdout.isatty() and not self.options.as_json
        hosts = [with_sudo_password(spec, person) for spec in self.hosts]
        return replace(self, hosts=hosts, options=replace(self.options, person=person))


def work(asked: Asked) -> int:
    """`up`, `plan` and `verify`: one run that goes as far as its verb says."""
    for spec in asked.hosts:
        datasets.refuse_wrong(spec.settings, spec.name)
    prepare_engine()
    asked = asked.ready()
    options, command = asked.options, asked.options.command
    folder = run_log.open_run(options.debug, secrets_of(spec.data for spec in asked.hosts))
    names = [spec.name for spec in asked.hosts]
    with Screen(names, quiet=options.as_json, asks=options.ask) as screen:
        results = run(asked.hosts, options, screen)
    code = exit_code(command, results)
    written = report.write(folder, command, results, code)
    if options.as_json:
        say(report.text(command, results))
        return code
    say("")
    for spec, result in zip(asked.hosts, results, strict=True):
        say_lines(summary.ending(result, spec.settings, command))
    say(f"report: {written}")
    return code


def facts(asked: Asked) -> int:
    """Everything that is there, for people or as JSON."""
    results = _read(asked)
    if asked.options.as_json:
        say(report.text("facts", results))
    else:
        for result in results:
            _facts_lines(result)
    return exit_code("facts", results)


def _facts_lines(result: HostResult) -> None:
    lines = [f"{result.name}:", *(f"  error: {error}" for error in result.errors)]
    lines += [f"  {section:18} {text}" for section, text in facts_in_words(result.facts)]
    say_lines(lines)


def _read(asked: Asked) -> list[HostResult]:
    prepare_engine()
    run_log.open_run(asked.options.debug, secrets_of(spec.data for spec in asked.hosts))
    with Screen([spec.name for spec in asked.hosts], quiet=True) as screen:
        return run(asked.hosts, asked.options, screen)


def resolve(asked: Asked, saved: str | None, given: Given | None) -> int:
    """The stack of each host and its reasons: from hosts, saved facts, or a description."""
    if given:
        results = [_answered(NAME, described(given), asked.wishes)]
    else:
        results = _saved(saved, asked.wishes) if saved else _read(asked)
    if asked.options.as_json:
        say(report.text("resolve", results))
    else:
        for result in results:
            told = [f"error: {error}" for error in result.errors]
            if result.answer is not None:
                told += explain.readable(result.answer)
            say_lines([f"{result.name}:", *(f"  {line}".rstrip() for line in told)])
    return exit_code("resolve", results)


def _saved(file: str, wishes: dict[str, Any]) -> list[HostResult]:
    try:
        hosts = json.loads(Path(file).read_text())["hosts"]
        read = {name: Observed.from_facts(host["facts"]) for name, host in hosts.items()}
    except OSError as error:
        raise InputError("facts-unreadable", f"cannot be read ({error.strerror})", file) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            "facts-invalid", "is not what `gpurig facts --json` writes", file, "write it anew"
        ) from error
    return [_answered(name, facts_of_host, wishes) for name, facts_of_host in read.items()]


def _answered(name: str, facts_of_host: Observed, wishes: dict[str, Any]) -> HostResult:
    settings = validate(wishes, where="--set")
    answer = resolve_stack(settings, facts_of_host)
    return HostResult(name, facts_of_host.as_json(), answer, connected=True)


def trust(asked: Asked) -> int:
    """Each new host key, shown and, after a yes, written to known_hosts."""
    prepare_engine()
    run_log.open_run(asked.options.debug, secrets_of(spec.data for spec in asked.hosts))

    def confirm(host: str, kind: str, seen: str) -> bool:
        say(f"{host}: {kind} {seen}")
        if asked.options.yes:
            return True
        if not sys.stdin.isatty():
            raise InputError(
                "trust-unasked", "nobody can be asked whether to trust this key", host, "use -y"
            )
        return bool(Confirm.ask("Is that the fingerprint the host itself shows?", default=False))

    code = 0
    for spec in asked.hosts:
        try:
            done = hosts_keys.trust(spec, confirm)
        except GpurigError as error:
            say(f"gpurig: {shown_line(str(error))}", err=True)
            code = max(code, error.exit_code)
            continue
        where = f" (written to {done.file})" if done.file else ""
        say(f"{done.host}: {done.outcome}{where}")
        code = code or (1 if done.outcome == "declined" else 0)
    return code


def show_tables(as_json: bool) -> int:
    """The tables that the resolver decides by, with the age of their oldest row."""
    today, found = date.today(), tables()
    listed = []
    for table in fields(found):
        rows = getattr(found, table.name)
        oldest = min(row.date for row in rows)
        age = (today - oldest).days
        listed.append(
            {"table": table.name, "rows": len(rows), "oldest": str(oldest), "age_days": age}
        )
    if as_json:
        frame = {"schema": report.SCHEMA, "command": "tables", "hosts": {}, "errors": []}
        say(json.dumps(frame | {"tables": listed}, indent=2))
        return 0
    grid = Table(box=None, pad_edge=False)
    for title in ("table", "rows", "oldest row", "days old"):
        grid.add_column(title, justify="right" if title in ("rows", "days old") else "left")
    for one in listed:
        grid.add_row(*(str(value) for value in one.values()))
    Terminal(highlight=False).print(grid)
    return 0
