"""
From a bare Debian 13 without a GPU to proven: gpurig, and the same typed by hand.

    python benchmarks/bare.py

Each gets a fresh host of the lab with warm mirrors (a first run of each is thrown away); printed
are both times, their ratio, and where gpurig's time goes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from machines import ROOT, Host, Lab, machine, seconds, ssh
from noop import inventory

LOCK = ROOT / "src/gpurig/wheels/data/locks/tensorflow-2.21.0-py3.13-x86_64-cpu.txt"
WORKLOADS = sorted((ROOT / "workloads").glob("*.py"))


def by_hand(host: Host, lab: Lab) -> float:
    """Seconds of the shell script on this host."""
    host.write("/tmp/lock.txt", LOCK.read_text())
    for program in WORKLOADS:
        host.write(f"/tmp/{program.name}", program.read_text())
    words = {
        "LOCK": "/tmp/lock.txt",
        "WORKLOAD": "/tmp/mnist_keras.py",
        "INDEX": lab.index_url,
        "INDEX_HOST": str(urlsplit(lab.index_url).hostname),
        "DATA": lab.mnist_url,
    }
    host.write("/tmp/by_hand.sh", (ROOT / "benchmarks/by_hand.sh").read_text())
    given = " ".join(f"{key}={value}" for key, value in words.items())
    return seconds([*ssh(host), f"{given} sh /tmp/by_hand.sh"])


def gpurig(folder: Path, host: Host, lab: Lab) -> tuple[float, dict[str, float]]:
    """Seconds of `gpurig up` on this host, and of its proofs."""
    command = [sys.executable, "-m", "gpurig.cli.main", "up", str(inventory(folder, host, lab))]
    took = seconds(command)
    latest = folder / ".local/state/gpurig/runs/latest/report.json"
    told = json.loads(latest.read_text())["hosts"][host.name]
    return took, {proof["id"]: proof["seconds"] for proof in told["proofs"]}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOME"] = name
        lab = Lab(owned=True).open()
        try:
            for kept in (False, True):
                host = lab.boot("trixie", "bare-hand")
                hand = by_hand(host, lab)
                lab.remove(host.name)
                host = lab.boot("trixie", "bare-gpurig")
                ours, proofs = gpurig(folder, host, lab)
                lab.remove(host.name)
                if not kept:
                    continue
                print(machine())
                print(f"by hand {hand:.1f} s, gpurig {ours:.1f} s, ratio {ours / hand:.2f}")
                for proof, spent in sorted(proofs.items(), key=lambda item: -item[1])[:5]:
                    print(f"  {proof:34} {spent:5.1f} s")
        finally:
            lab.close()


if __name__ == "__main__":
    main()
