"""How uv resolves on the control machine: for the Python of a host, with that of gpurig."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gpurig import store
from gpurig.contract.limits import Limits
from gpurig.settings import pip

logger = logging.getLogger("pyinfra")  # where a run's log is


@cache
def usual_index() -> str:
    """The index that uv asks if no other is named, as its help says; empty if it does not say."""
    uv = str(Path(sys.executable).with_name("uv"))
    told = subprocess.run(
        [uv, "help", "pip", "install"], capture_output=True, text=True, check=False
    )
    found = re.search(r"index \(by default: <(\S+)>\)", told.stdout)
    return found[1] if found else ""


def uv_compile(
    *words: str,
    python: str,
    platform: str,
    index: str | None,
    variables: Mapping[str, str] | None = None,
    stdin: str | None = None,
    seconds: int = Limits.download,
) -> subprocess.CompletedProcess[str]:
    """
    Run ``uv pip compile`` with these words, and give what it answered.

    + python, platform: of the host, such as ``3.13`` and ``x86_64-manylinux_2_28``
    + index: where wheels are looked for, None for where uv or pip of this machine looks
    + variables: for its environment, beside that of this program

    uv reads its settings, and looks for a Python, in the folder where it works and above: that is
    one of gpurig's own, never the one that the user happens to be in.

    OSError if uv does not start, TimeoutExpired if it has not ended after `seconds`.
    """
    own = {} if index else pip.indexes().variables
    surroundings = {**os.environ, "UV_SYSTEM_CERTS": "1", "COLUMNS": "10000", **own}
    for name, value in (variables or {}).items():
        several = name == "UV_INDEX" and name in own
        surroundings[name] = f"{value} {own[name]}" if several else value
    if index:
        surroundings["UV_DEFAULT_INDEX"] = index
    here = Path(sys.executable)
    done = subprocess.run(
        # Without --python uv looks for the host's Python on this machine, and downloads one.
        [str(here.with_name("uv")), "pip", "compile", "-q", "--python", str(here),
         "--no-python-downloads", "--python-version", python, "--python-platform", platform,
         *words],
        cwd=store.folder(store.cache()), env=surroundings, input=stdin or "", capture_output=True,
        text=True, check=False,
        timeout=seconds,
    )  # fmt: skip
    if done.returncode:
        logger.debug("uv: exit %s: %s", done.returncode, done.stderr)
    return done
