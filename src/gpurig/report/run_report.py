"""What a run leaves to read: report.json, junit.xml and report.html, from one result."""

from __future__ import annotations

from pathlib import Path

from gpurig import store
from gpurig.engine.result import HostResult
from gpurig.report.frame import as_text, of_run
from gpurig.report.html import page
from gpurig.report.junit import suites


def write(folder: Path, command: str, results: list[HostResult], code: int) -> Path:
    """Write all three into the run's folder; the path of the one that people open."""
    html = folder / "report.html"
    store.write(folder / "report.json", as_text(of_run(command, results)) + "\n")
    store.write(folder / "junit.xml", suites(results))
    store.write(html, page(command, results, code, str(folder / "log")))
    return html
