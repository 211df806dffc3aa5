"""What `gpurig train` does; it answers its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence

import gevent

from gpurig.cli.asked import Asked
from gpurig.engine.runner import prepare_engine
from gpurig.errors import InputError
from gpurig.report import run_log
from gpurig.report.shown import say, say_lines, shown_json
from gpurig.settings.redaction import secrets_of
from gpurig.training import output
from gpurig.training.engine_names import DEFAULT_ENVIRONMENT
from gpurig.training.training import Wish, train
from gpurig.training.workload import Workload

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = 6  # characters; what is shorter, as 1 or INFO, is no secret and would blot out the log
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def wish(
    engine: str,
    workload: str,
    env: str | None,
    processes: int | None,
    baseline: bool,
    variables: Sequence[str],
    arguments: Sequence[str],
) -> Wish:
    """What the options ask for; InputError before any host is contacted."""
    environment = env or DEFAULT_ENVIRONMENT[engine]
    if not _NAME.fullmatch(environment):
        raise InputError("training-wish", f"{environment!r} is no name of an environment", "--env",
                         "name an environment of rig_frameworks, such as pytorch")  # fmt: skip
    if engine == "multiworker" and processes not in (None, 1):
        raise InputError(
            "training-wish",
            "multiworker runs one process on each host, not"
            f" {processes}; it uses all GPUs of the host",
            "--processes-per-host", "leave the option out",
        )  # fmt: skip
    program = Workload.of(workload, arguments)
    return Wish(engine, environment, program, processes, baseline, dict(map(_variable, variables)))


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
    given = [value for value in wished.variables.values() if len(value) >= SECRET]
    run_log.open_run(asked.options.debug, [*secrets_of(spec.data for spec in hosts), *given])
    lines = output.Lines([spec.name for spec in hosts], quiet=as_json)
    ours = gevent.getcurrent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        gevent.signal_handler(number, gevent.kill, ours, KeyboardInterrupt)
    outcome = train(hosts, wished, lines)
    if as_json:
        say(json.dumps(shown_json(output.frame(outcome, wished)), indent=2))
    else:
        say_lines(output.ending(outcome))
    return output.exit_code(outcome)
