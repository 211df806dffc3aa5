"""pyinfra's deploy decorator with the type it has: a function of the same arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import NestedOperationError

from gpurig.contract.promise import current

P = ParamSpec("P")
R = TypeVar("R")


def layer(title: str, together: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """
    A pyinfra deploy: operations in the order in which they stand on each other.

    + title: what pyinfra shows before the names of its operations
    + together: whether its rest is left when one of its repairs fails, because the rest stands on
      that without looking; the layers after it go on
    """

    def decorator(function: Callable[P, R]) -> Callable[P, R]:
        whole = cast("Callable[P, R]", deploy(title)(cast("Any", function)))
        return _ending(whole) if together else whole

    return decorator


def _ending(whole: Callable[P, R]) -> Callable[P, R]:
    @wraps(whole)
    def ended(*args: P.args, **kwargs: P.kwargs) -> Any:
        record = current()
        record.together = True
        try:
            return whole(*args, **kwargs)
        except NestedOperationError as error:
            record.on_failure(error)
        finally:
            record.together = False

    return ended
