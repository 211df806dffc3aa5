"""All facts that there are, whether or not users see them."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import gpurig.facts
from gpurig.contract.fact import Fact

MODULES = [
    import_module(module.name)
    for module in pkgutil.walk_packages(gpurig.facts.__path__, "gpurig.facts.")
]
FOUND: list[tuple[str, type[Fact[Any]]]] = [
    (name, kind)
    for module in MODULES
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Fact) and kind.__module__ == module.__name__
    if not name.startswith("_")
]
CLASSES = dict(FOUND)
ASKED_PLAINLY = [
    name
    for name, fact in CLASSES.items()
    if all(
        parameter.default is not parameter.empty
        for parameter in list(inspect.signature(fact.command).parameters.values())[1:]
    )
]
