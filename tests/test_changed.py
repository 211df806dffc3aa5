"""`./gpurig test --changed` runs what a change can touch, and no less."""

from __future__ import annotations

from pathlib import Path

import pytest

from changed import ROOT, reached, touched_tests

TESTS = {file for file in (ROOT / "tests").rglob("test_*.py") if "proofs" not in file.parts}

# What changes; a test that it touches; a test that it does not.
CHANGES = {
    "a fact": ("facts/kernel/grub.py", "facts/test_grub.py", "test_openpgp.py"),
    "an operation": (
        "operations/container_toolkit/cdi.py",
        "operations/test_toolkit_files.py",
        "test_wheels.py",
    ),
    "a table": ("src/gpurig/stack/tables/gpus.toml", "stack/test_resolver.py", "test_openpgp.py"),
    "a page": ("docs/reference/json.md", "test_docs.py", "stack/test_resolver.py"),
    "a proof": ("tests/proofs/test_docker.py", "system/test_debian13_gpu.py", "test_hostkeys.py"),
    "the lab": ("tests/lab/gpu.py", "operations/test_apt.py", "test_hostkeys.py"),
    "a recording": (
        "tests/data/recorded/pynvml/trixie-t4x1.json",
        "lab/test_nvml_standin.py",
        "test_wheels.py",
    ),
    "a test": ("tests/test_wheels.py", "test_wheels.py", "test_locks.py"),
    "what a program starts": ("deploy/docker.py", "system/test_three_hosts.py", "test_wheels.py"),
}


@pytest.mark.parametrize(("name", "runs", "stays"), CHANGES.values(), ids=CHANGES)
def test_a_change_runs_the_tests_that_reach_it(name: str, runs: str, stays: str) -> None:
    """By imports, also through packages that are links, and by what is read or started."""
    touched = touched_tests({name}, TESTS)

    assert ROOT / "tests" / runs in touched
    assert ROOT / "tests" / stays not in touched
    assert ROOT / "tests/test_style.py" in touched


def test_what_nobody_knows_runs_everything() -> None:
    """A file that is neither Python nor listed, such as pyproject.toml; nothing runs nothing."""
    assert touched_tests({"pyproject.toml"}, TESTS) == TESTS
    assert touched_tests(set(), TESTS) == set()


def test_every_module_of_the_program_is_reached_by_a_test() -> None:
    """So that no change of the program runs no test."""
    seen: set[Path] = set()
    for test in TESTS:
        seen |= reached(test)
    folders = ("src/gpurig", "facts", "operations", "deploy")
    modules = {file.resolve() for folder in folders for file in (ROOT / folder).rglob("*.py")}
    assert modules - seen == set()
