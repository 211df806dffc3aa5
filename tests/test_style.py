"""The code is formatted, linted and typed, and names no registry's host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Split, so that this file does not find itself.
HOSTS = [".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"),
         ("deb", "debian", "org"), ("security", "debian", "org"), ("npmjs", "org"))]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "src/gpurig")],
    ids=" ".join,
)
def test_tools_find_nothing(command: tuple[str, ...]) -> None:
    """ruff and mypy --strict have no complaint."""
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_registry_s_host_is_named() -> None:
    """Registries are named by the machine's own configuration, never by this repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    named = [
        f"{file.relative_to(ROOT)}: {host}"
        for file in files
        if file.is_file() and not file.is_symlink()
        for host in HOSTS
        if host.encode() in file.read_bytes()
    ]
    assert not named
