"""The tests with the lab: each file that boots hosts in a pytest of its own, some at a time.

Hosts are waited for more than they compute: a lane keeps less than half a processor busy.
pytest-xdist cannot do it: pyinfra_cli replaces threads by greenlets when it is imported, and the
channel to xdist's worker, which was open before, blocks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
LANES = 4
# Which file installs the wheel that another one compiles, and begins when that has ended.
AFTER = {"system/test_train_horovod.py": "operations/test_horovod.py"}
TIMES = TESTS / "README.md"
LEFT_OUT = re.compile(r"^\d+ long tests? w", re.MULTILINE)  # as lab/plugin.py says it
ROW = re.compile(r"\| `(\S+)` \| (\d+) \|")


@dataclass
class Run:
    """
    One pytest.

    + name: of its file, or "no host"; files: what it is told to run
    + code, said: how it ended and what it printed; seconds: how long it took
    """

    name: str
    files: list[str]
    code: int = 0
    said: str = ""
    seconds: float = 0.0

    def run(self) -> Run:
        """Run it to its end."""
        start = time.monotonic()
        command = [sys.executable, "-m", "pytest", "--lab", *self.files]
        done = subprocess.run(
            command, cwd=TESTS.parent, stdin=subprocess.DEVNULL, check=False, text=True,
            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.code, self.said = done.returncode, done.stdout
        if self.code == pytest.ExitCode.NO_TESTS_COLLECTED and LEFT_OUT.search(self.said):
            self.code = 0
        self.seconds = time.monotonic() - start
        return self

    @property
    def failures(self) -> list[str]:
        """The lines of what failed."""
        if not self.code:
            return []
        lines = [x for x in self.said.splitlines() if x.startswith(("FAILED tests", "ERROR tests"))]
        return lines or [f"{self.name}: pytest ended with {self.code}"]

    @property
    def row(self) -> str:
        """As in the table of tests/README.md."""
        found = re.findall(r"^clock: processors (\d+) s; (.*)$", self.said, re.MULTILINE)
        processors, spent = found[-1] if found else ("", "")
        return f"| `{self.name}` | {self.seconds:.0f} | {processors} | {spent} |"


def main() -> int:
    """Run everything, print what each pytest said as it ends, and what failed once more."""
    files = {str(file.relative_to(TESTS)): file for file in lab_files()}
    rest = ["tests", *(f"--ignore=tests/{name}" for name in files)]
    runs = [Run("no host", rest), *(Run(name, [f"tests/{name}"]) for name in files)]
    known = {name: int(seconds) for name, seconds in ROW.findall(TIMES.read_text())}
    longest = max(known.values(), default=0)
    # What takes long begins early; before it what others wait for; what no table knows is long.
    runs.sort(key=lambda run: (run.name not in AFTER.values(), -known.get(run.name, longest)))
    start = time.monotonic()
    for ended in in_lanes(runs):
        print(f"{ended.said}[{ended.name}: {ended.seconds:.0f} s]\n", flush=True)
    print("\n".join(run.row for run in sorted(runs, key=lambda run: -run.seconds)))
    failed = [line for run in runs for line in run.failures]
    said = f"{len(failed)} failed" if failed else "all passed"
    print(f"\n{len(runs)} runs of pytest in {time.monotonic() - start:.0f} s; {said}")
    print("\n".join(failed))
    return 1 if failed else 0


def in_lanes(runs: list[Run]) -> Iterator[Run]:
    """Each of them as it ends; they begin in their order, but for those that wait for another."""
    waiting, over = list(runs), set[str]()
    running: set[Future[Run]] = set()
    with ThreadPoolExecutor(LANES) as lanes:
        while waiting or running:
            ready = [run for run in waiting if AFTER.get(run.name) in (None, *over)]
            for run in ready[: LANES - len(running)]:
                waiting.remove(run)
                running.add(lanes.submit(run.run))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                over.add(future.result().name)
                yield future.result()


def lab_files() -> Iterator[Path]:
    """The files whose tests boot hosts."""
    for file in sorted(TESTS.rglob("test_*.py")):
        if "pytest.mark.lab" in file.read_text():
            yield file


if __name__ == "__main__":
    sys.exit(main())
