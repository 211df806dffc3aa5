"""What files on a host are called until they are whole, or while a run needs them."""

from __future__ import annotations

import secrets

STAGED = ".gpurig-new"  # no reader of a file ever takes a name that ends so

RUNS = "gpurig-run."  # in /run: what belongs to one run, and goes when the next takes the lock

_RUN = secrets.token_hex(8)


def private(name: str, folder: str = "/run") -> str:
    """A path of this run's own: what another run left at work there never removes it."""
    return f"{folder}/{RUNS}{_RUN}.{name}"
