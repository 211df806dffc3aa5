"""The ids of promises, as operations and deploys write them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

GIVEN = "{promise}"  # an operation that serves several layers; each deploy gives it the id
SHOWN = {
    "python": "VERSION",
    "title": "NAME",
    "layer": "LAYER",
    "user": "USER",
}  # other arguments that stand in ids, as docs/reference/promises.md writes them


def kept() -> Iterator[tuple[Path, str]]:
    """The file, below operations/, and the id of each ``@keeps``."""
    for file in sorted((ROOT / "operations").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "keeps":
                        yield file.relative_to(ROOT / "operations"), _text(mark.args[0])


def given() -> set[str]:
    """The ids that deploys give."""
    return {
        _text(keyword.value)
        for file in (ROOT / "deploy").glob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg in ("promise", "keyring") and isinstance(keyword.value, ast.Constant)
    }


def promises() -> set[str]:
    """Every id, as the documentation writes it."""
    return given() | {id.format(**SHOWN) for _, id in kept() if id != GIVEN}


def _text(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant), f"line {node.lineno}: an id is a literal"
    return str(node.value)
