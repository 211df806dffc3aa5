"""Where a run writes: its folder, its log (readable by its user only), the newest one's link."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path

from pyinfra import logger

from gpurig.errors import GpurigError


def open_run(debug: bool) -> Path:
    """
    The folder of this run, with `log` in it; what pyinfra and gpurig log goes there.

    + debug: also on standard error
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    runs = Path(state) / "gpurig" / "runs"
    folder = runs / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    try:
        folder.mkdir(parents=True, mode=0o700)
        log = folder / "log"
        log.touch(mode=0o600)
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
    _add(logging.FileHandler(log), "%(asctime)s %(levelname)s %(message)s")
    if debug:
        _add(logging.StreamHandler(), "%(message)s")
    return folder


def _add(handler: logging.Handler, form: str) -> None:
    handler.setFormatter(logging.Formatter(form))
    logger.addHandler(handler)
