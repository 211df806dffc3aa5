"""What `gpurig train` does; it answers its exit code."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent

from gpurig.cli.asked import Asked
from gpurig.engine.runner import prepare_engine
from gpurig.errors import GpurigError, InputError
from gpurig.hosts.greenlets import INTERRUPTED, heard
from gpurig.report import run_log
from gpurig.report.runs import LINES
from gpurig.report.shown import say, say_lines
from gpurig.settings.kinds import is_secret
from gpurig.settings.redaction import Redaction, secrets_of
from gpurig.training import output, processes, run_report
from gpurig.training.engine_names import DEFAULT_ENVIRONMENT
from gpurig.training.home import refuse_used
from gpurig.training.kept import kept
from gpurig.training.project import RESULTS
from gpurig.training.training import train as train_together
from gpurig.training.wish import Wish
from gpurig.training.workload import MNIST, Workload

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What is no secret and would blot out the log: short words, numbers, names of things, paths.
_PLAIN = re.compile(r".{0,5}|[a-z_-]+|[0-9.,e+-]+|[.~]?/\S*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def train(given: Mapping[str, Any], arguments: Sequence[str]) -> int:
    """
    Check every word, then train.

    + given: the options, by their names; arguments: of the program
    """
    slots = processes.slots_of(given["slots"]) if given["slots"] else {}
    given = {**given, **_hosts(given, list(slots))}
    wished = wish(given, arguments)
    asked = Asked.of("train", given)
    names = [spec.name for spec in asked.hosts]
    nodes = processes.first_nodes(names, given["nnodes"])
    numbers = processes.per_host(nodes, given["total"], processes.by_name(slots, names))
    if numbers and wished.processes is not None:
        raise InputError("training-wish", "two options say how many processes a host runs",
                         "--processes-per-host", "use it alone, or -np and -H alone")  # fmt: skip
    unfit = {*numbers.values()} - {1}
    if wished.engine == "multiworker" and (unfit or wished.processes not in (None, 1)):
        raise InputError(
            "training-wish",
            "multiworker runs one process on each host; it uses all GPUs of the host",
            "--processes-per-host", "leave the option out",
        )  # fmt: skip
    chosen = [one for one in asked.hosts if one.name in nodes and numbers.get(one.name) != 0]
    return run(replace(asked, hosts=chosen), replace(wished, slots=numbers))


def _hosts(given: Mapping[str, Any], named: list[str]) -> dict[str, Any]:
    """With ``-H``, some hosts of the inventory, or hosts by their names where there is none."""
    if not named:
        return {}
    if given["limit"]:
        raise InputError("training-wish", "-H and --limit both name hosts", "-H", "use one of them")
    return {"limit" if given["target"] else "target": ",".join(named)}


def wish(given: Mapping[str, Any], arguments: Sequence[str]) -> Wish:
    """What the options ask for; InputError before any host is contacted."""
    engine, workload = given["engine"], given["workload"]
    environment = given["env"] or DEFAULT_ENVIRONMENT[engine]
    if not _NAME.fullmatch(environment):
        raise InputError("training-wish", f"{environment!r} is no name of an environment", "--env",
                         "name an environment of rig_frameworks, such as pytorch")  # fmt: skip
    program = Workload.of(workload, arguments, given["workdir"])
    out = Path(given["out"] or Path(RESULTS) / datetime.now().strftime("%Y%m%d-%H%M%S"))
    refuse_used(out)
    baseline = given["baseline"] == "yes" or (given["baseline"] is None and workload == MNIST)
    number = _number(given["processes"])
    variables = dict(map(_variable, given["variables"]))
    return Wish(engine, environment, program, number, baseline, variables, out=str(out))


def _may_be_secret(name: str, value: str) -> bool:
    """Whether the value of a variable is shown nowhere: by its name, or as it is no plain word."""
    return is_secret(name) or not _PLAIN.fullmatch(value)


def _number(word: str | None) -> int | None:
    """Of ``--processes-per-host``; torchrun's words for one process a GPU are our default."""
    if word in (None, "auto", "gpu"):
        return None
    if not re.fullmatch(r"[1-9]\d*", str(word)):
        raise InputError("training-wish", f"{word!r} is no number of processes",
                         "--processes-per-host", "write a number, such as 2")  # fmt: skip
    return int(str(word))


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")  # the value may be secret, and is said nowhere
    if not _VARIABLE.fullmatch(name):
        raise InputError("training-wish", f"{name!r} is no name of a variable", "-x",
                         "write -x NAME=VALUE, or -x NAME for the value set here")  # fmt: skip
    if not equals and name not in os.environ:
        raise InputError("training-wish", f"{name} is not set here", "-x",
                         f"set it, or write -x {name}=VALUE")  # fmt: skip
    return name, value if equals else os.environ[name]


def run(asked: Asked, wished: Wish) -> int:
    """Train, tell, and end everything everywhere, also on Ctrl-C."""
    prepare_engine()
    asked = asked.ready()
    hosts, as_json = asked.hosts, asked.options.as_json
    given = [value for name, value in wished.variables.items() if _may_be_secret(name, value)]
    words = [*secrets_of(spec.data for spec in hosts), *given]
    names = [spec.name for spec in hosts]
    folder = run_log.open_run(asked.options, words, names)
    ours = gevent.getcurrent()
    for number in heard():
        gevent.signal_handler(number, gevent.kill, ours, KeyboardInterrupt)
    redacted = Redaction(words)
    with kept(folder / LINES, redacted) as all_lines:
        lines = output.Lines(names, all_lines, quiet=as_json or asked.options.quiet)
        outcome = train_together(hosts, wished, lines)
    code = INTERRUPTED if outcome.interrupted else output.exit_code(outcome)
    if as_json:
        say(output.as_text(outcome, wished, redacted))
    else:
        say_lines([*output.ending(outcome), *lines.folded()])
    try:
        report = run_report.write(folder, outcome, wished, redacted, all_lines)
    except GpurigError as error:  # a full disk: how the training ended is told already
        say(f"gpurig: no report: {error}", err=True)
    else:
        if not (as_json or asked.options.quiet):
            say(f"report: {report}")
    if outcome.interrupted and not as_json:
        say(f"gpurig: {output.interrupted(outcome)}", err=True)
    return code
