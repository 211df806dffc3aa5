"""The connector on this machine: cached facts, hidden passwords, uploads, the host's lock."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import StringCommand

from gpurig.errors import HostError
from gpurig.hosts import frame, host_lock
from gpurig.hosts.connector import GpurigConnector, reading_fact
from gpurig.hosts.local import LocalTransport


@pytest.fixture
def connector() -> Any:
    """A connector to this machine, outside pyinfra's engine."""
    made = object.__new__(GpurigConnector)
    made.host = SimpleNamespace(name="@local")
    made.facts, made.failure, made.commands = {}, None, 0
    made.transport = LocalTransport()
    yield made
    made.disconnect()


def _read(connector: GpurigConnector, command: str) -> tuple[bool, list[str]]:
    token = reading_fact.set(True)
    try:
        ok, output = connector.run_shell_command(StringCommand(command))
    finally:
        reading_fact.reset(token)
    return ok, output.stdout_lines


def test_a_fact_is_read_once_until_something_is_changed(connector: GpurigConnector) -> None:
    """Facts come from the cache until any other command runs."""
    assert _read(connector, "echo 1") == _read(connector, "echo 1") == (True, ["1"])
    assert connector.commands == 1
    connector.run_shell_command(StringCommand("true"))
    _read(connector, "echo 1")
    assert connector.commands == 3


def test_an_upload_empties_the_cache(connector: GpurigConnector, tmp_path: Path) -> None:
    """A file that is written may be what a fact reads."""
    _read(connector, "echo 1")
    assert connector.put_file(BytesIO(b"x\0y"), str(tmp_path / "it's here"))
    assert (tmp_path / "it's here").read_bytes() == b"x\0y"
    assert not connector.facts


SUDO = """#!/bin/sh
umask 077
while [ "$1" != -- ]; do [ "$1" != -S ] || read -r password; shift; done; shift; exec "$@"
"""


@pytest.mark.parametrize("password", [None, "secret"])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_host_s_umask(
    connector: GpurigConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    umask: int,
    password: str | None,
) -> None:
    """Neither the login's umask nor sudo's decides what mode an upload and a new file have."""
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setattr(frame, "PATH", f"{tmp_path}:{frame.PATH}")
    before = os.umask(umask)
    try:
        for name, root in (("plain", {}), ("sudo", {"_sudo": True, "_sudo_password": password})):
            assert connector.put_file(BytesIO(b"x"), f"{tmp_path}/{name}-up", **root)
            connector.run_shell_command(StringCommand(f"mkdir {tmp_path}/{name}-made"), **root)
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("plain-up", "sudo-up")}
    assert modes == {"plain-up": 0o644, "sudo-up": 0o644}
    assert (tmp_path / "plain-made").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "sudo-made").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "script",
    ["echo a", "printf a", "printf 'a\\n\\n'", "true", "exit 4", "echo 'it'\\''s'; echo b >&2"],
)
def test_facts_read_together_are_as_if_read_singly(connector: GpurigConnector, script: str) -> None:
    """Prefetching changes no output line and no status."""
    singly = _read(connector, script)
    connector.facts.clear()
    connector.prefetch([StringCommand("echo before"), StringCommand(script)], {})
    before = connector.commands
    assert _read(connector, script) == singly
    assert connector.commands == before, "it came from the cache"


@pytest.mark.parametrize("arguments", [{}, {"_env": {"A": "b"}}], ids=["none", "a variable"])
def test_many_facts_are_split_below_the_argument_limit(
    connector: GpurigConnector, arguments: dict[str, Any]
) -> None:
    """More than the kernel takes in one argument still is read, also by a shell within."""
    commands = [StringCommand(f"echo {i}; : {'x' * 9000}") for i in range(30)]
    connector.prefetch(commands, arguments)
    assert len(connector.facts) == 30
    assert connector.commands == 2


def test_the_lock_is_held_until_the_connection_ends(
    connector: GpurigConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run is told who is at work; after the first has gone it gets in."""
    monkeypatch.setattr(host_lock, "LOCK", str(tmp_path / "lock"))
    connector.lock("ann on desk", {})
    second = object.__new__(GpurigConnector)
    second.host, second.facts, second.transport = connector.host, {}, LocalTransport()
    with pytest.raises(HostError, match="ann on desk"):
        second.lock("bob", {})
    connector.disconnect()
    second.lock("bob", {})
    second.disconnect()


def test_the_private_folder_is_private_and_removed() -> None:
    """Uploads of a user who is not root go through a folder nobody else can look into."""
    transport = LocalTransport()
    folder = transport.folder()
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    transport.close()
    assert not os.path.exists(folder)
