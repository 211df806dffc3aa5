"""pyinfra's deploy decorator with the type it has: a function of the same arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from pyinfra.api.deploy import deploy

P = ParamSpec("P")
R = TypeVar("R")


def layer(title: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """
    A pyinfra deploy: operations in the order in which they stand on each other.

    + title: what pyinfra shows before the names of its operations
    """

    def decorator(function: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", deploy(title)(cast("Any", function)))

    return decorator
