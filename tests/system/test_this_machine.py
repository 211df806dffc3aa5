"""This machine, from a fresh clone in an empty folder with a bare HOME: `./gpurig up`, twice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab  # it installs packages on this machine, as the user asked for

ROOT = Path(__file__).resolve().parents[2]


def _run(folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: os.environ[key] for key in os.environ if not key.startswith(("XDG_", "CI"))}
    return subprocess.run(
        ["./gpurig", *words],
        cwd=folder,
        env=environment | {"HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


def test_the_readme_s_first_command(tmp_path: Path) -> None:
    """A clone sets this machine up and proves it; the second run changes nothing."""
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    first = _run(clone, home, "up")
    assert first.returncode in (0, 4), first.stdout + first.stderr
    assert "try: source /opt/gpurig/venvs/tensorflow/bin/activate" in first.stdout
    again = _run(clone, home, "up")
    assert again.returncode in (0, 4), again.stdout + again.stderr
    assert "  nothing changed\n" in again.stdout, again.stdout
    assert not _run(clone, home, "plan").stdout.count("What will change")
