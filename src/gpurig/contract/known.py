"""What an operation begins with: facts that could be read."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, overload

from gpurig.contract.fact import Always, Fact, read
from gpurig.contract.promise import Ended, unknown
from gpurig.contract.values import Absent, Unknown

T = TypeVar("T")


@overload
def known(fact: type[Always[T]], **arguments: Any) -> T: ...
@overload
def known(fact: type[Fact[T]], **arguments: Any) -> T | Absent: ...
def known(fact: type[Fact[T]], **arguments: Any) -> T | Absent:
    """
    The fact's value on the current host, where it could be read.

    Otherwise the promise of the current operation is unknown, for the fact's reason, and the
    operation ends. So it is read before the first command.
    """
    value = read(fact, **arguments)
    if isinstance(value, Unknown):
        ends_unknown(value.reason)
    return value


def sure(value: T | Unknown) -> T:
    """The value, unless it is Unknown: then the operation ends, as in `known`."""
    if isinstance(value, Unknown):
        ends_unknown(value.reason)
    return value


def ends_unknown(reason: str) -> NoReturn:
    """The promise of the current operation is unknown, and the operation ends."""
    unknown(reason)
    raise Ended
