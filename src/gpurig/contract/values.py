"""What a fact can say beside a value: that there is nothing, or that it could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeGuard


class Absent(Enum):
    """The thing was looked for and is not there."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> Literal[False]:
        return False


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Unknown:
    """The thing could not be read; ``reason`` is the sentence a person reads."""

    reason: str

    def __bool__(self) -> Literal[False]:
        return False


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number that can be computed with and shown; a program may print any."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and -1e300 < value < 1e300


def as_json(value: Any) -> Any:
    """A fact's value as JSON: ABSENT is ``null``, Unknown is ``{"unknown": reason}``."""
    if value is ABSENT:
        return None
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    return value


def from_json(value: Any) -> Any:
    """The inverse of `as_json`."""
    if value is None:
        return ABSENT
    if isinstance(value, dict) and set(value) == {"unknown"}:
        return Unknown(str(value["unknown"]))
    return value
