"""What is asked of packages before any of them is moved, and how a plan names many of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpurig.contract.finding import Verdict
from gpurig.contract.promise import Commands, Record, keeps, recording
from gpurig.errors import InternalError
from gpurig.facts.packages.dpkg import Package
from gpurig.operations.shared.packages import held, missing, movable, settled
from gpurig.operations.shared.words import few, those


def _package(state: str = "installed", on_hold: bool = False) -> Package:
    return Package(version="1", state=state, held=on_hold)


FOUND = {
    "whole": _package(),
    "gone": _package("config-files"),
    "kept": _package(on_hold=True),
    "half": _package("half-configured"),
}


def _judged(ask: Callable[[], None]) -> tuple[Verdict, str] | None:
    """The verdict with which the question ends an operation; None where it goes on."""
    went_on: list[bool] = []

    @keeps("layer.packages")
    def asked() -> Commands:
        ask()
        went_on.append(True)
        yield from ()

    record = Record()
    with recording(record):
        try:
            list(asked._inner())
        except InternalError:  # nothing was stated
            assert went_on
            return None
    found = record.findings["layer.packages"]
    return found.verdict, found.reason


def test_a_package_is_there_when_it_is_whole() -> None:
    """What is half installed or left its configuration is missing."""
    assert missing(["whole", "gone", "half", "never"], FOUND) == ["gone", "half", "never"]


def test_packages_on_hold_stop_a_move_by_their_names() -> None:
    """The hold is the user's word; how to take it back is said."""
    assert held(FOUND) == held(FOUND, ["never", "kept", "whole"]) == ["kept"]
    assert _judged(lambda: movable([])) is None
    assert _judged(lambda: movable(["a", "b"])) == (
        Verdict.UNKNOWN,
        "a, b is on hold; run apt-mark unhold to let gpurig move it",
    )


def test_dpkg_ends_its_own_work_first() -> None:
    """With a package half done everything waits for packages.dpkg; without one nothing does."""
    verdict = _judged(lambda: settled(FOUND))

    assert verdict is not None
    assert verdict[0] is Verdict.FOLLOWS
    assert _judged(lambda: settled({"whole": _package(), "gone": _package("config-files")})) is None


@pytest.mark.parametrize(
    ("names", "most", "told"),
    [([], 4, ""), (["a", "b"], 2, "a, b"), (["a", "b", "c"], 2, "a, b and 1 more")],
)
def test_many_names_are_cut_short(names: list[str], most: int, told: str) -> None:
    """The first of them, and how many more there are."""
    assert few(names, most) == told


def test_only_what_is_so_is_said() -> None:
    """In the order of the table, whatever stands for true."""
    assert those({"one": 1, "none": [], "two": "x", "no": False}) == ["one", "two"]
