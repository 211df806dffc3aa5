"""How uv resolves on the control machine: for the Python of a host, with that of gpurig."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gpurig import store
from gpurig.contract.limits import Limits


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
    + index: where wheels are looked for, None for where uv looks
    + variables: for its environment, beside that of this program

    uv reads its settings, and looks for a Python, in the folder where it works and above: that is
    one of gpurig's own, never the one that the user happens to be in.

    OSError if uv does not start, TimeoutExpired if it has not ended after `seconds`.
    """
    surroundings = {**os.environ, "UV_SYSTEM_CERTS": "1", **(variables or {})}
    if index:
        surroundings["UV_DEFAULT_INDEX"] = index
    here = Path(sys.executable)
    return subprocess.run(
        # Without --python uv looks for the host's Python on this machine, and downloads one.
        [str(here.with_name("uv")), "pip", "compile", "-q", "--python", str(here),
         "--no-python-downloads", "--python-version", python, "--python-platform", platform,
         *words],
        cwd=store.folder(store.cache()), env=surroundings, input=stdin, capture_output=True,
        text=True, check=False,
        timeout=seconds,
    )  # fmt: skip
