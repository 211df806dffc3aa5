"""Each host of a run is a greenlet: what waits for one host holds up no other."""

from __future__ import annotations


def patch() -> None:
    """Make Python's own modules wait so; called before anything is imported that opens a socket."""
    import gevent.monkey

    gevent.monkey.patch_all()
