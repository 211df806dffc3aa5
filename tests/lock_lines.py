"""Locks of a few lines, for tests that install none of them."""

from __future__ import annotations


def locked(*pins: str) -> str:
    """A lock with these pins (``numpy==1.0``), each with a hash of nothing in particular."""
    return "".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins)
