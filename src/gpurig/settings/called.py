"""What a person types to call gpurig, for the commands that sentences tell them."""

from __future__ import annotations

import os
import shlex


def called() -> str:
    """``gpurig``, or ``./gpurig`` where the script of a clone was called so."""
    return shlex.quote(os.environ.get("GPURIG_CALLED") or "gpurig")
