"""Where a run writes: its folder, its log (readable by its user only), the newest one's link."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pyinfra import logger

from gpurig import store
from gpurig.report.shown import shown
from gpurig.settings.redaction import Redaction


class _Redacted(logging.Formatter):
    """Lines in which no secret stands, whoever logged it: pyinfra logs arguments as they are."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        super().__init__(form)
        self.redacted = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return shown(self.redacted(super().format(record)))


def open_run(debug: bool, secrets: Iterable[str] = ()) -> Path:
    """
    The folder of this run, with `log` in it; what pyinfra and gpurig log goes there.

    + debug: also on standard error
    + secrets: words that are never written
    """
    runs = store.state() / "runs"
    folder = runs / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    log = folder / "log"
    store.write(log, "")
    store.link(runs / "latest", folder.name)
    for one, level in ((logger, logging.DEBUG), (logging.getLogger("paramiko"), logging.WARNING)):
        one.setLevel(level)
        one.propagate = False
        one.handlers.clear()
    words = list(secrets)
    _add(
        logging.FileHandler(log, encoding="utf-8"),
        _Redacted("%(asctime)s %(levelname)s %(message)s", words),
    )
    if debug:
        _add(logging.StreamHandler(), _Redacted("%(message)s", words))
    return folder


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logging.getLogger("paramiko").addHandler(handler)
