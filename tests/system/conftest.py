"""Fixtures of the system tests: a person, and hosts that were brought up by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.person import Person


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with an empty HOME."""
    return Person(tmp_path_factory.mktemp("person"))


@pytest.fixture
def somebody(tmp_path: Path) -> Person:
    """Somebody else, for one test."""
    return Person(tmp_path)
