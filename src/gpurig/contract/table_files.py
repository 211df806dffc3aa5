"""The files of the tables as they are: the resolver makes rows of them, others read a few words."""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def read(name: str) -> dict[str, list[dict[str, Any]]]:
    """The arrays of one file, ``frameworks``, by name; each row as TOML has it."""
    path = files("gpurig").joinpath("stack", "tables", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
