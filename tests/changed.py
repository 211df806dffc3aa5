"""The option ``--changed``: only the test files that a change can touch, by what they import."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Where a module of this name lies, first match first; gpurig's packages are links to the root.
PLACES = ("src", "tests", "workloads", "")
# What is read or run and not imported: by the beginning of its path, the file that does so.
# Anything else that is not Python touches every test.
READ = {
    "src/gpurig/stack/tables/": "src/gpurig/contract/table_files.py",
    "src/gpurig/wheels/data/locks/": "src/gpurig/wheels/locks.py",
    "src/gpurig/wheels/data/patches/": "src/gpurig/wheels/horovod.py",
    "src/gpurig/report/html/style.css": "src/gpurig/report/html/page.py",
    "tests/data/facts/": "tests/facts/test_facts.py",
    "tests/data/recorded/nvidia-ctk/": "tests/operations/test_daemon_json_parity.py",
    "tests/data/recorded/nvidia-smi/": "tests/lab/test_nvml_standin.py",
    "tests/data/recorded/pynvml/": "tests/lab/test_nvml_standin.py",
    "tests/proofs/": "src/gpurig/engine/proving.py",
    "tests/system/programs/": "tests/system/test_train.py",
    "tests/lab/standins/": "tests/lab/lab.py",
    "workloads/": "src/gpurig/settings/programs.py",
    "docs/": "tests/test_docs.py",
    "README.md": "tests/test_docs.py",
    "CHANGELOG.md": "tests/test_docs.py",
    "CONTRIBUTING.md": "tests/test_docs.py",
    "inventories/": "tests/test_docs.py",
    "gpurig": "tests/test_bootstrap.py",
    "scripts/hatch_hook.py": "tests/test_packaging.py",
    "scripts/settings-reference": "tests/test_docs.py",
    "scripts/sentences": "tests/test_sentences.py",
    "scripts/uv_as_pip.py": "tests/test_bootstrap.py",
}
ALWAYS = (  # these read every file
    "tests/test_promise_ids.py",
    "tests/test_repository.py",
    "tests/test_sentences.py",
    "tests/test_style.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --changed."""
    parser.getgroup("lab").addoption(
        "--changed", nargs="?", const="HEAD", metavar="COMMIT",
        help="only tests that what differs from COMMIT (default: the last one) can touch",
    )  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the files that nothing of the change reaches."""
    if (commit := config.getoption("--changed")) is None:
        return
    touched = touched_tests(changed_files(str(commit)), {item.path for item in items})
    config.hook.pytest_deselected(items=[item for item in items if item.path not in touched])
    items[:] = [item for item in items if item.path in touched]


def changed_files(commit: str) -> set[str]:
    """What differs from a commit, and what git does not know yet, as paths from the root."""
    listings = (
        ("diff", "--name-only", "--no-renames", commit, "--"),
        ("ls-files", "--others", "--exclude-standard"),
    )
    found: set[str] = set()
    for words in listings:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise pytest.UsageError(f"--changed: {done.stderr.strip().splitlines()[-1]}")
        found |= set(done.stdout.splitlines())
    return found


def touched_tests(changed: set[str], tests: set[Path]) -> set[Path]:
    """Those of the test files that reach one of the changed files."""
    sources: set[Path] = set()
    for name in changed:
        readers = {file for start, file in READ.items() if name.startswith(start)}
        if not readers and not name.endswith(".py"):
            return tests
        sources |= {ROOT / file for file in readers | {name}}
    always = {ROOT / name for name in ALWAYS} if changed else set()
    return {test for test in tests if test in always or sources & reached(test)}


def reached(file: Path) -> set[Path]:
    """A file, what it imports, what that imports, and so on; and the conftest files above it."""
    found: set[Path] = set()
    waiting = [file.resolve()]
    waiting += [above / "conftest.py" for above in file.resolve().parents if above != ROOT.parent]
    while waiting:
        this = waiting.pop()
        if this not in found and this.is_file():
            found.add(this)
            waiting += imports(this)
    return found


@cache
def imports(file: Path) -> list[Path]:
    """The files of this repository that a file imports, or starts as ``-m MODULE``."""
    text = file.read_text()
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = _package(file, node.level)
            whole = ".".join(filter(None, [package, node.module]))
            names |= {whole, *(f"{whole}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and str(node.value).startswith("gpurig."):
            names.add(str(node.value))  # a subprocess, a hook, an entry point
    return sorted({found for name in names for found in _files(name)})


def _package(file: Path, level: int) -> str:
    """The package that a relative import of this level starts from."""
    if not level:
        return ""
    folder = file.parents[level - 1]
    for place in (ROOT / "src", ROOT / "tests", ROOT):
        if folder.is_relative_to(place):
            return ".".join(folder.relative_to(place).parts)
    return ""


def _files(name: str) -> Iterator[Path]:
    """Where a module lies, with the packages around it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        for place in PLACES:
            path = ROOT.joinpath(place, *parts[:end])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    yield file.resolve()
