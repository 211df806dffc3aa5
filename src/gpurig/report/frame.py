"""The JSON that every ``--json`` prints: docs/reference/json.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpurig.engine.result import HostResult
from gpurig.errors import GpurigError
from gpurig.report import SCHEMA
from gpurig.report.shown import shown_json


def frame(
    command: str,
    hosts: Mapping[str, object] | None = None,
    errors: Sequence[GpurigError] = (),
    **parts: object,
) -> dict[str, Any]:
    """
    The frame as data.

    + hosts: what is told of each, by its name; parts: what only this command tells
    """
    told = [error.as_json() for error in errors]
    return {
        "schema": SCHEMA,
        "command": command,
        "hosts": dict(hosts or {}),
        "errors": told,
        **parts,
    }


def of_run(command: str, results: Sequence[HostResult]) -> dict[str, Any]:
    """The frame of a run over hosts."""
    hosts = {result.name: result.as_json() for result in results}
    return frame(command, hosts, [error for result in results for error in result.errors])


def as_text(frame: Mapping[str, Any]) -> str:
    """The frame as it is printed and written: all text in it is shown."""
    return json.dumps(shown_json(frame), indent=2)
