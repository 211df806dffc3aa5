"""This machine's sudo password: asked for once, only where it is needed and somebody is there."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.passwords import with_sudo_password

LOCAL = HostSpec.of("@local", "local", "", {})


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who is not root, a sudo that wants a password, and somebody who types "hush"."""
    program = tmp_path / "sudo"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "hush")
    return program


def test_it_is_asked_for_on_a_terminal(sudo: Path) -> None:
    """The answer goes into the host's data, from where only sudo's stdin gets it."""
    assert with_sudo_password(LOCAL, person=True).data["_sudo_password"] == "hush"


def test_it_is_not_asked_for_without_need(sudo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not without a person, not for other hosts, not where sudo wants none, not as root."""
    assert with_sudo_password(LOCAL, person=False) is LOCAL
    remote = HostSpec.of("gpu01", "ssh", "gpu01", {})
    assert with_sudo_password(remote, person=True) is remote
    given = HostSpec.of("@local", "local", "", {"_sudo_password": "known"})
    assert with_sudo_password(given, person=True) is given
    sudo.write_text("#!/bin/sh\nexit 0\n")
    assert with_sudo_password(LOCAL, person=True) is LOCAL
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert with_sudo_password(LOCAL, person=True) is LOCAL
