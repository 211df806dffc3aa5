"""A promise can be found by its id: with grep, and by the folder that its first word names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from promise_ids import GIVEN, SHOWN, given, kept

KEPT = sorted({(str(file), id) for file, id in kept()})
LAYERS = {"environment": "environments"}  # what concerns one of them stands beside what all share


@pytest.mark.parametrize(("file", "id"), KEPT, ids=[f"{file}: {id}" for file, id in KEPT])
def test_an_operation_stands_where_its_promise_says(file: str, id: str) -> None:
    """In the folder or file of its id's first word; in shared/ where the deploy gives the id."""
    word = "shared" if id == GIVEN else id.split(".")[0]
    assert Path(file).parts[0].removesuffix(".py") == LAYERS.get(word, word).replace("-", "_")


@pytest.mark.parametrize("id", sorted({id for _, id in KEPT} - {GIVEN} | given()))
def test_an_id_stands_in_the_code_as_people_read_it(id: str) -> None:
    """But for the names of environments, images, Pythons and users, which settings give."""
    assert re.fullmatch(r"[a-z-]+(\.([a-z-]+|\{\w+\}|[a-z]+-\{\w+\})){1,2}", id)
    assert set(re.findall(r"\{(\w+)\}", id)) <= SHOWN.keys()
