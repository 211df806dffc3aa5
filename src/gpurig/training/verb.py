"""What `gpurig train` does; it answers its exit code."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Sequence

import gevent

from gpurig import logbook
from gpurig.errors import InputError
from gpurig.passwords import with_sudo_password
from gpurig.redaction import secrets_of
from gpurig.runner import prepare_engine
from gpurig.shown import say, say_lines, shown_json
from gpurig.training import told
from gpurig.training.engines import DEFAULT_ENVIRONMENT
from gpurig.training.training import Wish, train
from gpurig.training.workload import Workload
from gpurig.verbs import Asked

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
        raise InputError("training-wish", f"{environment!r} is no name", "--env",
                         "name an environment of rig_frameworks, as pytorch")  # fmt: skip
    if engine == "multiworker" and processes not in (None, 1):
        raise InputError(
            "training-wish",
            f"multiworker has one process on each host, which uses all its GPUs, not {processes}",
            "--processes-per-host", "leave it out",
        )  # fmt: skip
    program = Workload.of(workload, arguments)
    return Wish(engine, environment, program, processes, baseline, dict(map(_variable, variables)))


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise InputError("training-wish", f"{word!r} is not NAME=VALUE", "-x",
                         "for example -x NCCL_DEBUG=INFO")  # fmt: skip
    return name, value


def run(asked: Asked, wished: Wish) -> int:
    """Train, tell, and end everything everywhere, also on Ctrl-C."""
    prepare_engine()
    person = sys.stdin.isatty() and sys.stdout.isatty() and not asked.json
    hosts = [with_sudo_password(spec, person) for spec in asked.hosts]
    logbook.open_run(asked.debug, secrets_of(hosts))
    lines = told.Lines([spec.name for spec in hosts], quiet=asked.json)
    ours = gevent.getcurrent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        gevent.signal_handler(number, gevent.kill, ours, KeyboardInterrupt)
    outcome = train(hosts, wished, lines)
    if asked.json:
        say(json.dumps(shown_json(told.frame(outcome, wished)), indent=2))
    else:
        say_lines(told.ending(outcome))
    return told.exit_code(outcome)
