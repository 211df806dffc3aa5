"""
How fast an environment of gpurig's trains, beside one made by hand on the same machine.

    python benchmarks/workload.py /opt/gpurig/venvs/tensorflow [--runs 5] [--data-dir FOLDER]

The other one is made as the framework's own install page says, `python3 -m venv` and
`pip install`, in a folder that is removed afterwards. Both run the same program with the same data
in turn, so that noise hits both alike; the ratios are of the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machines import ROOT, machine

# What the install pages tell people to type (tensorflow.org/install/pip, pytorch.org, on Linux),
# and below it what the program draws with and falls back to.
PAGES = {
    "tensorflow": {"cpu": ["tensorflow"], "cuda": ["tensorflow[and-cuda]"]},
    "pytorch": {"cpu": ["torch"], "cuda": ["torch"]},
}
BESIDE = {
    "tensorflow": ["tensorflow-datasets", "importlib_resources", "matplotlib", "scikit-learn"],
    "pytorch": ["numpy", "matplotlib", "scikit-learn"],
}
PROGRAMS = {"tensorflow": "mnist_keras.py", "pytorch": "mnist_pytorch.py"}
GOAL = 0.98


def by_hand(folder: Path, framework: str, accelerator: str, like: Path) -> Path:
    """An environment as a person makes it, with the Python of the other one; its interpreter."""
    subprocess.run([like.resolve(), "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    wanted = [*PAGES[framework][accelerator], *BESIDE[framework]]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python


def trained(python: Path, program: str, data: Path, out: Path) -> tuple[float, float]:
    """One run: images a second of the training alone, and the seconds of all of it."""
    surroundings = {"HOME": str(out), "PATH": "/usr/bin:/bin", "KERAS_BACKEND": "tensorflow"}
    words = [python, ROOT / "workloads" / program, "--data-dir", data, "--out", out]
    began = time.monotonic()
    done = subprocess.run(
        words, env=surroundings, capture_output=True, text=True, check=False, cwd=out
    )
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{python}: {done.returncode}\n{done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1])["images_per_second"]), took


def spread(ratios: list[float]) -> str:
    """The median of the pairs' ratios, and the lowest and highest of them."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("environment", type=Path, help="as /opt/gpurig/venvs/tensorflow")
    parser.add_argument("--framework", choices=PAGES, help="default: the environment's name")
    parser.add_argument("--accelerator", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data-dir", type=Path, default=Path("/var/lib/gpurig/datasets"))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    framework = options.framework or options.environment.name
    if framework not in PAGES:
        sys.exit(f"{framework} has no install page here; name one of {', '.join(PAGES)}")
    ours = options.environment / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="gpurig-benchmark-") as name:
        folder = Path(name)
        data = folder / "data"  # a copy: both prepare and read the same, and nothing else changes
        shutil.copytree(options.data_dir / "archives", data / "archives")
        theirs = by_hand(folder / "by-hand", framework, options.accelerator, ours)
        program, out = PROGRAMS[framework], folder / "out"
        out.mkdir()
        for python in (ours, theirs):
            trained(python, program, data, out)  # prepares the data, fills the page cache
        speeds, times = [], []
        for run in range(options.runs):
            pair = (ours, theirs) if run % 2 == 0 else (theirs, ours)
            told = {python: trained(python, program, data, out) for python in pair}
            speeds.append(told[ours][0] / told[theirs][0])
            times.append(told[theirs][1] / told[ours][1])
            print(f"{told[ours][0]:10,.0f} images/s, by hand {told[theirs][0]:10,.0f}", flush=True)
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}; {framework}, {options.runs} pairs in turn")
    print(f"training    {spread(speeds)} of the speed by hand; goal: at least {GOAL}")
    print(f"whole run   {spread(times)} of the speed by hand, with imports and pictures")


if __name__ == "__main__":
    main()
