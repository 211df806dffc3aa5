"""Versions as numbers, so that rows of the tables can bound them."""

from __future__ import annotations

import re
from functools import cache


@cache
def numbers(version: str) -> tuple[int, ...]:
    """The numbers a version begins with: ``6.12.97+deb13-amd64`` is ``(6, 12, 97)``."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
