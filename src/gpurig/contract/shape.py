"""Whether a piece of data has the shape that a type describes."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def fits(value: Any, shape: Any) -> bool:
    """
    Whether the value is of this type: a class, ``list``, ``dict``, union, literal, TypedDict.

    A TypedDict wants its keys and allows more, so that facts of a newer version can be read.
    """
    origin, inner = get_origin(shape), get_args(shape)
    if shape is Any:
        return True
    if shape is None:
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(value is one or (isinstance(one, str) and value == one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, inner[1]) for one in value.values())
    if is_typeddict(shape):
        wanted = get_type_hints(shape)
        return isinstance(value, dict) and all(
            key in value and fits(value[key], kind) for key, kind in wanted.items()
        )
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
