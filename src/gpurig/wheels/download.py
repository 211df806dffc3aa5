"""What the control machine downloads, within bounds of its own: silence, time and size."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

from gpurig.contract.limits import MB, Limits

Request = str | urllib.request.Request


def pieces(asked: Request, silence: float, seconds: float, megabytes: int) -> Iterator[bytes]:
    """
    What is at an address, piece by piece.

    + silence: seconds without a byte; seconds: for all of it, as ``rig_limits`` has them
    + megabytes: more than what is asked for can have

    OSError or ValueError says in its text which bound was passed.
    """
    until, left = time.monotonic() + seconds, megabytes * MB
    with urllib.request.urlopen(asked, timeout=silence) as source:
        # Not read(), which waits for as many bytes as it is asked for.
        while piece := source.read1(1 << 20):
            left -= len(piece)
            if left < 0:
                raise ValueError(f"it is larger than {megabytes} MB")
            if time.monotonic() > until:
                longer = Limits(download=int(seconds)).raised("download")
                raise TimeoutError(f"it was not complete after {seconds:.0f} s; {longer}")
            yield piece
