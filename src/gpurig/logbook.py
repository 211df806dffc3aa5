"""Where a run writes: its folder, its log (readable by its user only), the newest one's link."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pyinfra import logger

from gpurig import owned
from gpurig.errors import GpurigError
from gpurig.inventory import HostSpec


class _Redacted(logging.Formatter):
    """Lines in which no secret stands, whoever logged it: pyinfra logs arguments as they are."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        super().__init__(form)
        # Also in the forms in which values are logged: as Python, JSON and a shell write them.
        written = {f(s) for s in secrets if s for f in (str, _as_python, _as_json, _as_shell)}
        self.secrets = sorted(written, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self.secrets:
            line = line.replace(secret, "*****")
        return line


def _as_python(secret: str) -> str:
    return repr(secret)[1:-1]


def _as_json(secret: str) -> str:
    return json.dumps(secret)[1:-1]


def _as_shell(secret: str) -> str:
    return shlex.quote(secret).removeprefix("'").removesuffix("'")


def secrets_of(hosts: Iterable[HostSpec]) -> list[str]:
    """The values among the hosts' data that must be printed nowhere."""
    found = []
    for host in hosts:
        for key, value in host.data.items():
            if isinstance(value, str) and ("password" in key or key == "rig_proxy"):
                found.append(value)
    return found


def open_run(debug: bool, secrets: Iterable[str] = ()) -> Path:
    """
    The folder of this run, with `log` in it; what pyinfra and gpurig log goes there.

    + debug: also on standard error
    + secrets: words that are never written
    """
    runs = owned.state() / "runs"
    folder = runs / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    try:
        owned.folder(folder)
        log = folder / "log"
        owned.write(log, "")
        latest = runs / f".latest-{os.getpid()}"
        latest.symlink_to(folder.name)
        latest.replace(runs / "latest")
    except OSError as error:
        raise GpurigError(
            "no-state",
            f"the run's log cannot be written ({error.strerror})",
            str(runs),
            "set XDG_STATE_HOME to a folder that can be written",
        ) from error
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers.clear()
    words = list(secrets)
    _add(logging.FileHandler(log), _Redacted("%(asctime)s %(levelname)s %(message)s", words))
    if debug:
        _add(logging.StreamHandler(), _Redacted("%(message)s", words))
    return folder


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logger.addHandler(handler)
