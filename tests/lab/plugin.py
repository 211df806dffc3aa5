"""pytest and the lab: --lab, --long, the markers of these names, the fixtures lab and boot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .clock import CLOCK
from .errors import LabError
from .hosts import Host
from .lab import Lab

Boot = Callable[..., Host]
LEFT_OUT = pytest.StashKey[int]()
LONG = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --lab and --long."""
    group = parser.getgroup("lab")
    group.addoption(
        "--lab", action="store_true", help="boot real hosts for the tests that need them (root)"
    )
    group.addoption(
        "--long", action="store_true", help="the tests for which CI has no time, and no others"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "lab: needs hosts that are really booted; see tests/lab")
    config.addinivalue_line("markers", "long: CI has no time for it, and proves its like")


def wanted(config: pytest.Config) -> bool:
    """Whether this run boots hosts: it was asked to, or it is the project's CI."""
    return bool(config.getoption("--lab")) or os.environ.get("CI") == "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What this run does not want is left out, and counted; it is never "skipped"."""
    if not wanted(config):
        config.stash[LEFT_OUT] = _leave_out(config, items, lambda item: _marked(item, "lab"))
    long = bool(config.getoption("--long"))
    left_out = _leave_out(config, items, lambda item: _marked(item, "long") is not long)
    config.stash[LONG] = 0 if long else left_out


def _marked(item: pytest.Item, name: str) -> bool:
    return item.get_closest_marker(name) is not None


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], unwanted: Callable[[pytest.Item], bool]
) -> int:
    """How many tests are not run, after they were taken out."""
    left_out = [item for item in items if unwanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not unwanted(item)]
    return len(left_out)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say in the last lines what was left out, and how to run it."""
    if count := config.stash.get(LEFT_OUT, 0):
        tests = (
            "1 test that boots a host was" if count == 1 else f"{count} tests that boot hosts were"
        )
        terminalreporter.write_line(f"{tests} left out; run them, as root, with --lab")
    if count := config.stash.get(LONG, 0):
        tests = "1 long test was" if count == 1 else f"{count} long tests were"
        terminalreporter.write_line(f"{tests} left out; run them with --lab --long")


def pytest_unconfigure() -> None:
    """Say what the time went into, once the hosts are gone."""
    if CLOCK.spent:
        print(f"clock: {CLOCK.told()}", flush=True)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab, up; hosts made by these tests go at the end. Cannot be had: the test fails."""
    try:
        opened = Lab(owned=True).open()
    except LabError as error:
        pytest.fail(f"the lab cannot be booted: {error}", pytrace=False)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def boot(lab: Lab) -> Boot:
    """
    ``boot(suite, name, **options)``: a booted host, with the options of ``Lab.boot``.

    A name that another run has taken gets a number; ``lab.remove(host.name)`` ends it early.
    """

    def booted(suite: str, name: str, **options: Any) -> Host:
        taken = {host.name for host in lab.hosts()}
        free = (
            each for each in (name, *(f"{name}-{n}" for n in range(2, 100))) if each not in taken
        )
        try:
            return lab.boot(suite, next(free), **options)
        except LabError as error:
            pytest.fail(f"the host {name} cannot be booted: {error}", pytrace=False)

    return booted
