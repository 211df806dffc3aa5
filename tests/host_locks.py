"""A host's lock on this machine, out of the way of a real one, and runs that take it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpurig.contract.limits import Limits
from gpurig.hosts import host_lock
from gpurig.hosts.connector import GpurigConnector
from gpurig.hosts.local import LocalTransport


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock in a folder like /run: everybody may look into it, its owner alone writes."""
    folder = tmp_path / "run it's"
    folder.mkdir(mode=0o755)
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    monkeypatch.setattr(host_lock, "LOCK", str(folder / "lock"))
    monkeypatch.setattr("gpurig.hosts.connector.LOCK", str(folder / "lock"))
    return folder / "lock"


@pytest.fixture
def run() -> Iterator[Callable[..., GpurigConnector]]:
    """Runs on this machine, each with a connection of its own; they have ended with the test."""
    made: list[GpurigConnector] = []

    def start(limits: Limits | None = None) -> GpurigConnector:
        one = object.__new__(GpurigConnector)
        one.host, one.facts = SimpleNamespace(name="gpu01"), {}
        one.commands, one.failure = 0, None
        one.transport = LocalTransport("gpu01", limits)
        made.append(one)
        return one

    yield start
    for one in made:
        one.disconnect()
