"""What a run leaves to read: report.json, junit.xml and report.html, from one result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpurig import store
from gpurig.engine.result import HostResult
from gpurig.report import SCHEMA
from gpurig.report.html import page
from gpurig.report.junit import suites
from gpurig.report.shown import shown_json


def frame(command: str, results: list[HostResult]) -> dict[str, Any]:
    """The JSON of every ``--json`` and of report.json; docs/reference/json.md describes it."""
    errors = [error.as_json() for result in results for error in result.errors]
    return {
        "schema": SCHEMA,
        "command": command,
        "hosts": {result.name: result.as_json() for result in results},
        "errors": errors,
    }


def text(command: str, results: list[HostResult]) -> str:
    """The frame as it is printed and written: all text in it is shown."""
    return json.dumps(shown_json(frame(command, results)), indent=2)


def write(folder: Path, command: str, results: list[HostResult], code: int) -> Path:
    """Write all three into the run's folder; the path of the one that people open."""
    html = folder / "report.html"
    store.write(folder / "report.json", text(command, results) + "\n")
    store.write(folder / "junit.xml", suites(results))
    store.write(html, page(command, results, code, str(folder / "log")))
    return html
