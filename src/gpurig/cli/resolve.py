"""What `gpurig resolve` does; it answers its exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from gpurig.cli.asked import Asked
from gpurig.engine.result import HostResult, exit_code
from gpurig.errors import GpurigError, HostError, InputError
from gpurig.report.frame import as_text, of_run
from gpurig.report.shown import say, say_lines, shown_line
from gpurig.settings.checks import validate
from gpurig.stack import explain, gpu_names, gpu_words
from gpurig.stack.described import NAME, Given, described
from gpurig.stack.observed import Observed
from gpurig.stack.resolver import resolve as resolve_stack

_LISTING = 2**25  # bytes: the report.json of a thousand hosts


def resolve(asked: Asked, saved: str | None, given: Given | None) -> int:
    """The stack of each host and its reasons: from hosts, saved facts, or a description."""
    if given:
        given = _with_gpus(given)
        results = [_answered(NAME, described(given), asked.wishes)]
    else:
        results = _saved(saved, asked.wishes) if saved else _read(asked)
    if asked.options.as_json:
        say(as_text(of_run("resolve", results)))
    else:
        for result in results:
            told = [f"error: {error.told(result.name)}" for error in result.errors]
            if result.answer is not None:
                told += explain.readable(result.answer, f"{date.today():%Y-%m}")
            say_lines([f"{result.name}:", *(f"  {line}".rstrip() for line in told)])
    return exit_code("resolve", results)


def _with_gpus(given: Given) -> Given:
    """With the ids of its GPUs; what a name can also mean is told on standard error."""
    found = [gpu_words.gpus(*_text(word)) for word in given.gpus]
    for note in (note for one in found for note in one.notes):
        say(f"gpurig: --gpu: {shown_line(note)}", err=True)
    return replace(given, gpus=tuple(pci_id for one in found for pci_id in one.ids))


def _text(word: str) -> tuple[str, str]:
    """What was written for --gpu, or what the file of this name says; and where it is from."""
    if word == "-":
        return _bounded(sys.stdin.buffer, "--gpu -"), "--gpu -"
    file = Path(word)
    if "\n" in word or not file.is_file() or gpu_names.called(word, gpu_names.every_name()):
        return word, "--gpu"
    try:
        with file.open("rb") as opened:
            return _bounded(opened, word), word
    except OSError as error:
        raise InputError("given-wrong", f"cannot be read ({error.strerror})", word) from error


def _bounded(opened: BinaryIO, where: str) -> str:
    text = opened.read(_LISTING + 1)
    if len(text) > _LISTING:
        raise InputError("given-wrong", "is too long for a listing of GPUs", where,
                         "give it what `lspci -nn` prints")  # fmt: skip
    return text.decode(errors="replace")


def _read(asked: Asked) -> list[HostResult]:
    # Here, since a described machine needs nothing that reaches hosts: it takes a second to load.
    from gpurig.cli.work import read

    return read(asked)


def _saved(file: str, wishes: dict[str, Any]) -> list[HostResult]:
    """The answer for each host of the file; its errors where they kept all facts from it."""
    from gpurig.stack import reading  # it loads every fact

    try:
        hosts = json.loads(Path(file).read_text())["hosts"]
        failed = {name: _errors(name, host) for name, host in hosts.items() if not host["facts"]}
        found = {name: reading.saved(host["facts"]) for name, host in hosts.items()}
    except OSError as error:
        raise InputError("facts-unreadable", f"cannot be read ({error.strerror})", file) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            "facts-invalid", "is not output of `gpurig facts --json`", file, "write it again"
        ) from error
    if not found:
        raise InputError("facts-invalid", "has no host", file,
                         "write it again with `gpurig facts TARGET --json`")  # fmt: skip
    return [
        HostResult(name, errors=failed[name])
        if failed.get(name)
        else _answered(name, observed, wishes)
        for name, observed in found.items()
    ]


def _errors(name: str, host: dict[str, Any]) -> list[GpurigError]:
    """Why a host's facts were not read, as `gpurig facts --json` tells it."""
    return [
        HostError(error["code"], error["what"], error["where"], error["do"], name)
        for error in host.get("errors", ())
    ]


def _answered(name: str, observed: Observed, wishes: dict[str, Any]) -> HostResult:
    settings = validate(wishes, where="--set")
    answer = resolve_stack(settings, observed)
    return HostResult(name, observed.as_json(), answer, connected=True)
