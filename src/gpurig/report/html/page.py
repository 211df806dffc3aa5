"""The whole page: of one host, or an overview with a part for each of several."""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files

from gpurig import __version__
from gpurig.engine.result import HostResult
from gpurig.report.html import host, overview
from gpurig.report.html.markup import escape
from gpurig.report.machine import name
from gpurig.report.verdict import headline

EXITS = {
    0: "everything is OK",
    1: "something failed, could not be reached, or is unknown",
    2: "nothing could be done",
    3: "there is something to do",
    4: "OK, but something needs you or is not proven yet",
}


def page(command: str, results: list[HostResult], code: int, log: str = "") -> str:
    """
    The page.

    + command: ``up``, ``plan`` or ``verify``; code: the run's exit code
    + log: the path of its log, which is named where something failed
    """
    now = datetime.now().astimezone()
    kicker = f"gpurig {escape(command)}, {now.day} {now:%B %Y, %H:%M %Z}"
    wide = "" if len(results) == 1 else " class=wide"
    if len(results) == 1:
        title = f"{name(results[0])}: {headline(results[0], command).title}"
        body = host.part(results[0], command, log, kicker)
    else:
        title = f"{overview.title(results)}, {overview.told(results, command)}"
        parts = [
            host.part(result, command, log, overview.BACK, overview.anchor(number))
            for number, result in enumerate(results)
        ]
        body = "\n".join([overview.part(results, command, kicker), *parts])
    return document(title, body, _footer(code, log), wide)


def document(title: str, body: str, footer: str, wide: str = "") -> str:
    """
    A page that needs no other file.

    + body, footer: HTML
    """
    return f"""<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content='width=device-width'>
<title>{escape(title)}</title>
<style>{_style()}</style>
</head>
<body{wide}>
{body}
<footer>{footer}</footer>
</body>
</html>
"""


def _style() -> str:
    return files("gpurig.report.html").joinpath("style.css").read_text("utf-8")


def _footer(code: int, log: str) -> str:
    meaning = EXITS.get(code, "interrupted")
    told = f"gpurig {__version__}. Exit code {code}: {escape(meaning)}."
    data = " <code>report.json</code> beside this page has all of it as data."
    return told + data + (f" Log: <code>{escape(log)}</code>" if log else "")
