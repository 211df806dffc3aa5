"""Where a run writes: its folder, its log (readable by its user only), the newest one's link."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from pyinfra import logger

from gpurig import store
from gpurig.errors import GpurigError, InputError
from gpurig.hosts.connector import CHANGES
from gpurig.report import runs
from gpurig.report.shown import shown
from gpurig.settings.options import Options
from gpurig.settings.redaction import Redaction


class _Redacted(logging.Formatter):
    """Lines in which no secret stands, whoever logged it: pyinfra logs arguments as they are."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        super().__init__(form)
        self.redacted = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return shown(self.redacted(super().format(record)))


class _Screen(logging.StreamHandler[TextIO]):
    """Lines on standard error as it is when they are logged: a live view puts its own in place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def open_run(options: Options, secrets: Iterable[str] = (), hosts: Sequence[str] = ()) -> Path:
    """
    The folder of this run, with `log` in it; what pyinfra and gpurig log goes there.

    + options: debug, also on standard error; verbose, the commands that change hosts there
    + secrets: words that are never written
    + hosts: their names, which `gpurig runs` lists
    """
    folder = runs.new()
    log = folder / "log"
    try:
        store.write(log, "")
        runs.began(folder, options.command, hosts)
        store.link(folder.with_name("latest"), folder.name)
    except GpurigError as error:  # found before any host is contacted
        raise InputError(error.code, error.what, error.where, error.do) from error
    for one, level in ((logger, logging.DEBUG), (logging.getLogger("paramiko"), logging.WARNING)):
        one.setLevel(level)
        one.propagate = False
        one.handlers.clear()
    words = list(secrets)
    _add(
        logging.FileHandler(log, encoding="utf-8"),
        _Redacted("%(asctime)s %(levelname)s %(message)s", words),
    )
    if options.debug or options.verbose:
        screen = _Screen()
        if not options.debug:
            screen.addFilter(lambda record: hasattr(record, CHANGES))
        _add(screen, _Redacted("%(message)s", words))
    return folder


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logging.getLogger("paramiko").addHandler(handler)
