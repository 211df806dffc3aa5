"""Running a training program on a host, and reading the JSON line that it ends with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gpurig.proofs.plugin import Subject

DATA = "/var/lib/gpurig/datasets"
# Programs that a proof of their own runs and judges; of MNIST's an environment runs one.
MATMUL, MNIST = "matmul", ("mnist_keras", "mnist_pytorch")
# A program that hangs must not hold up a run for ever; none of gpurig's takes minutes.
BOUND_SECONDS = 3600
_ENDED, _KILLED = 124, 137  # by `timeout`, and by signal 9


def mirror_for(host: Host, subject: Subject) -> str | None:
    """What the settings say where no archives were handed over: then the host looks there."""
    handed = host.run(f"ls {DATA}/archives/*.gz").rc == 0
    return None if handed else subject.settings.data_mirror


def run(
    host: Host, user: str, scratch: str, command: list[str], variables: Mapping[str, str]
) -> CommandResult:
    """
    A command in a private folder, as a user and with nothing of anybody's surroundings.

    + scratch: the folder, which is also HOME
    """
    own = {"HOME": scratch, "MPLCONFIGDIR": scratch, "PATH": "/usr/bin:/bin"} | dict(variables)
    words = ["timeout", "-k", "30", str(BOUND_SECONDS), "env", "-i"]
    words += [f"{name}={value}" for name, value in own.items()] + command
    line = f"cd {shlex.quote(scratch)} && exec {shlex.join(words)}"
    return host.run("runuser -u %s -- sh -c %s", user, line)


def result(program: str, code: int, printed: str, said: str) -> dict[str, Any]:
    """
    What a program answered: the object that is its last line of output.

    + code: its exit status; printed, said: its standard output and standard error

    AssertionError, one sentence that names the program, where that breaks the contract.
    """
    last = (said.strip().splitlines() or ["nothing on standard error"])[-1]
    if code == _ENDED:
        raise AssertionError(f"{program} did not end within {BOUND_SECONDS // 60} minutes: {last}")
    if code == _KILLED:
        raise AssertionError(f"{program} was killed, perhaps because memory ran out: {last}")
    lines = printed.strip().splitlines()
    if code not in (0, 1) or (code and not lines):
        raise AssertionError(f"{program} ended with exit code {code}: {last}")
    if not lines:
        raise AssertionError(f"{program} printed no JSON line: {last}")
    try:
        answer = json.loads(lines[-1], parse_constant=_refuse)
    except ValueError as error:
        told = str(error) if isinstance(error, _NoNumber) else f"{lines[-1][:60]!r}"
        raise AssertionError(
            f"the last line that {program} printed is not JSON, but {told}: {last}"
        ) from error
    if not isinstance(answer, dict):
        raise AssertionError(f"{program} printed {lines[-1][:60]!r} instead of a JSON object")
    lacks = [key for key in ("schema", "workload", "passed") if key not in answer]
    if lacks or not isinstance(answer["passed"], bool):
        what = (
            f"lacks {', '.join(lacks)}"
            if lacks
            else 'has a "passed" that is neither true nor false'
        )
        raise AssertionError(f"the JSON line of {program} {what}")
    if answer["passed"] and code:
        raise AssertionError(
            f"{program} reports that it passed, but ended with exit code {code}: {last}"
        )
    return answer


class _NoNumber(ValueError):
    """NaN or infinity, which JSON does not have."""


def _refuse(constant: str) -> NoReturn:
    raise _NoNumber(f"has {constant}, which JSON does not know")


def substitute(answer: Mapping[str, Any]) -> str:
    """What stood in for MNIST where it was not to be found; empty where it was MNIST."""
    kind, _, data = answer["data"]["source"].partition(": ")
    return f"{data} instead of MNIST" if kind == "fallback" else ""


def speed(answer: Mapping[str, Any]) -> str:
    """
    What a training program reached and how fast, in one short line; it is shown, not judged.

    ``0.9778, 0.97 after 3.1 s, 10,512 images/s, NVIDIA H100 63 % and 1.9 GB``
    """
    parts = [f"{answer['accuracy']:.4f}"]
    reached = answer["seconds"].get("to_threshold")
    if reached is not None:
        parts.append(f"{answer['threshold']} after {reached:.1f} s")
    parts.append(f"{answer['images_per_second']:,.0f} images/s")
    parts += [
        f"{gpu['name']} {gpu['utilization_percent']:.0f} % and"
        f" {gpu['memory_used_bytes'] / 1e9:.1f} GB"
        for gpu in answer.get("gpus", [])
    ]
    return ", ".join(parts)
