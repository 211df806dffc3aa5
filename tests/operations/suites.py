"""Two suites for the operations that may differ there, and the mark of the tests that do not."""

from __future__ import annotations

import pytest

# For a test to which the second suite adds nothing: CI runs it on the first. `_host` is the
# fixture that boots one host of each.
once = pytest.mark.parametrize(
    "_host", ["trixie", pytest.param("bookworm", marks=pytest.mark.long)], indirect=True
)
