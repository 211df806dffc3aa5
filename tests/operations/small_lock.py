"""A hashed lock of small packages, resolved from the lab's index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gpurig.locks import Lock
from lab.lab import Lab


def small_lock(lab: Lab, *pins: str) -> Lock:
    """What these pins need on Python 3.13, and setuptools, which every lock has."""
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "compile", "-q", "--generate-hashes",
         "--no-header", "--no-annotate", "--no-emit-index-url", "--python-version", "3.13", "-"],
        input="\n".join([*pins, "setuptools"]) + "\n",
        env=os.environ | {"UV_DEFAULT_INDEX": lab.index_url}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return Lock(f"small-{pins[0]}", done.stdout)
