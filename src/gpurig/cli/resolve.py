"""What `gpurig resolve` does; it answers its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpurig.cli.asked import Asked
from gpurig.cli.work import read
from gpurig.engine.result import HostResult, exit_code
from gpurig.errors import InputError
from gpurig.report import run_report
from gpurig.report.shown import say, say_lines
from gpurig.settings.checks import validate
from gpurig.stack import explain, reading
from gpurig.stack.described import NAME, Given, described
from gpurig.stack.observed import Observed
from gpurig.stack.resolver import resolve as resolve_stack


def resolve(asked: Asked, saved: str | None, given: Given | None) -> int:
    """The stack of each host and its reasons: from hosts, saved facts, or a description."""
    if given:
        results = [_answered(NAME, described(given), asked.wishes)]
    else:
        results = _saved(saved, asked.wishes) if saved else read(asked)
    if asked.options.as_json:
        say(run_report.text("resolve", results))
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
        found = {name: reading.saved(host["facts"]) for name, host in hosts.items()}
    except OSError as error:
        raise InputError("facts-unreadable", f"cannot be read ({error.strerror})", file) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            "facts-invalid", "is not output of `gpurig facts --json`", file, "write it again"
        ) from error
    return [_answered(name, observed, wishes) for name, observed in found.items()]


def _answered(name: str, observed: Observed, wishes: dict[str, Any]) -> HostResult:
    settings = validate(wishes, where="--set")
    answer = resolve_stack(settings, observed)
    return HostResult(name, observed.as_json(), answer, connected=True)
