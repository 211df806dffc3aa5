"""What the benchmarks share: a lab host, and how long a command takes on the wall clock."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lab.hosts import Host  # noqa: E402
from lab.lab import Lab  # noqa: E402


def ssh(host: Host) -> list[str]:
    """The ssh command to a host, with its key checked."""
    return [
        "ssh", "-i", str(host.key), "-o", f"UserKnownHostsFile={host.known_hosts}",
        "-o", "BatchMode=yes", f"root@{host.address}",
    ]  # fmt: skip


def seconds(command: Sequence[str], allowed: Sequence[int] = (0,), **environment: str) -> float:
    """How long a command takes; it must end with one of the allowed exit codes."""
    began = time.monotonic()
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def side_by_side(commands: dict[str, list[str]], runs: int) -> dict[str, float]:
    """The median of each command's seconds, the commands in turn so that noise hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    return {name: statistics.median(values) for name, values in taken.items()}


def machine() -> str:
    """The machine in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"


__all__ = ["ROOT", "Host", "Lab", "machine", "seconds", "side_by_side", "ssh"]
