"""How a removal stands: what goes, and what stays although it lies beside it."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.contract.promise import drift, holds, left_out


def goes(promise: str, ours: Sequence[str], stays: Sequence[str], will: str) -> bool:
    """
    State how the promise stands; whether something goes.

    + ours: what is gpurig's and goes; stays: what is not known to be gpurig's, and stays
    + will: what removes it, as a sentence without a subject
    """
    if ours:
        drift(actual="not removed", wanted="gone", will=will, leaves=", ".join(stays))
    elif stays:
        told = ", ".join(stays)
        left_out(promise, f"gpurig leaves {told}: it cannot know that it made this")
    else:
        holds("none")
    return bool(ours)
