"""What the lab runs on is installed as far as it is missing."""

from __future__ import annotations

import pytest

from . import bases


def test_a_compiler_without_headers_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcc on PATH is not enough to compile: the C library's headers are looked for themselves."""
    monkeypatch.setattr(bases, "_there", lambda needed: needed != "/usr/include/stdio.h")
    assert bases.missing_packages() == ["libc6-dev"]


def test_commands_are_looked_for_on_path_and_files_where_they_are(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a PATH a command is missing; a file is not, wherever it lies."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bases, "REQUIRED", {"gcc": "gcc", "/": "base-files", "/none/at": "none"})
    assert bases.missing_packages() == ["gcc", "none"]
