"""The tests with the lab: each file that boots hosts in a pytest of its own, three at a time.

Hosts are waited for more than they compute: a lane keeps half a processor busy.
pytest-xdist cannot do it: pyinfra_cli replaces threads by greenlets when it is imported, and the
channel to xdist's worker, which was open before, blocks.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

TESTS = Path(__file__).resolve().parent
LANES = 3
# By far the longest: they compile Horovod, and train with every framework and on three hosts.
LONGEST = ("test_frameworks.py", "test_train.py", "test_without_gpu.py", "test_horovod.py")


def main() -> int:
    """Run everything, print what each pytest said as it ends, and what failed once more."""
    # What takes long begins early: whole runs of gpurig, the tests without a host, big files.
    files = sorted(
        lab_files(),
        key=lambda f: (f.name not in LONGEST, f.parent.name != "system", -f.stat().st_size),
    )
    whole = [f for f in files if f.name in LONGEST or f.parent.name == "system"]
    rest = ["tests", *(f"--ignore={file.relative_to(TESTS.parent)}" for file in files)]
    runs = [[str(file.relative_to(TESTS.parent))] for file in files]
    runs.insert(len(whole), rest)
    failed: list[str] = []
    with ThreadPoolExecutor(LANES) as lanes:
        for done in as_completed([lanes.submit(_run, run) for run in runs]):
            name, code, said = done.result()
            print(said, flush=True)
            if code:
                lines = [x for x in said.splitlines() if x.startswith(("FAILED ", "ERROR "))]
                failed += lines or [f"{name}: pytest ended with {code}"]
    print(f"\n{len(runs)} runs of pytest;", f"{len(failed)} failed" if failed else "all passed")
    print("\n".join(failed))
    return 1 if failed else 0


def lab_files() -> Iterator[Path]:
    """The files whose tests boot hosts."""
    for file in sorted(TESTS.rglob("test_*.py")):
        if "pytest.mark.lab" in file.read_text():
            yield file


def _run(run: list[str]) -> tuple[str, int, str]:
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", "--lab", *run]
    done = subprocess.run(
        command, cwd=TESTS.parent, stdin=subprocess.DEVNULL, check=False, text=True,
        errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    took = f"[{run[0]}: {time.monotonic() - start:.0f} s]\n"
    return run[0], done.returncode, done.stdout + took


if __name__ == "__main__":
    sys.exit(main())
