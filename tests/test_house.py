"""The rooms of the code, and what may import what: docs/explanation/architecture.md."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _script(name: str) -> ModuleType:
    """A program of scripts/ as a module."""
    loader = SourceFileLoader(name, str(ROOT / "scripts" / name))
    spec = spec_from_loader(name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


house = _script("architecture")


def test_no_room_climbs() -> None:
    """A room imports from those that stand before it in ROOMS, also for types."""
    up = [
        line
        for (start, end), lines in house.arrows().items()
        if start in house.ROOMS and end in house.ROOMS
        if house.ROOMS.index(end) > house.ROOMS.index(start)
        for line in lines
    ]
    assert not up


def test_proofs_share_nothing_with_what_they_prove() -> None:
    """Nothing imports them, and they import no fact, no operation, no deploy and no resolver."""
    ends = {end for start, end in house.arrows() if start == "proofs"}
    assert not ends & {"facts", "operations", "deploy", "stack"}
    assert not [start for start, end in house.arrows() if end == "proofs"]


def test_workloads_stand_alone() -> None:
    """They are copied to hosts, where nothing of gpurig is."""
    assert not [ends for ends in house.arrows() if ends[0] == "workloads"]


def test_no_module_imports_itself_in_a_circle() -> None:
    """Not within a room either."""
    below = {module: set(house.imported(module)) - {module} for module in house.modules()}
    done: set[str] = set()

    def circle(module: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if module in way:
            return (*way[way.index(module) :], module)
        if module in done:
            return ()
        for other in sorted(below[module]):
            if found := circle(other, (*way, module)):
                return found
        done.add(module)
        return ()

    assert not [found for module in below if (found := circle(module, ()))]


def test_every_file_of_the_package_is_in_a_room() -> None:
    """So that no file escapes the laws above."""
    found = {file.relative_to(ROOT / "src/gpurig").parts[0] for file in _package()}
    rooms = {house.place(room).name for room in house.ROOMS} | {"__init__.py"}
    assert found <= rooms
    assert all(house.purpose(room) for room in (*house.ROOMS, *house.BESIDE))


def _package() -> list[Path]:
    return list((ROOT / "src/gpurig").rglob("*.py"))


def test_the_page_shows_the_rooms_as_they_are() -> None:
    """docs/explanation/architecture.md is what scripts/architecture writes."""
    assert house.PAGE.read_text() == house.page(), "run scripts/architecture"


@pytest.mark.parametrize("module", ["facts.docker.engine", "cli.main", "proofs.plugin"])
def test_the_modules_are_found(module: str) -> None:
    """A law over no modules would hold."""
    assert module in house.modules()
    assert list(house.imported(module))
