"""Whether a piece of data has the shape that a type describes."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def fits(value: Any, shape: Any) -> bool:
    """
    Whether the value is of this type: a class, ``list``, ``dict``, union, literal, TypedDict.

    A TypedDict wants its keys and allows more, so that facts of a newer version can be read.
    """
    if shape is Any:
        return True
    if shape is None:
        return value is None
    if is_typeddict(shape):
        return isinstance(value, dict) and _has_fields(value, get_type_hints(shape))
    if (of_kind := _KINDS.get(get_origin(shape))) is not None:
        return of_kind(value, *get_args(shape))
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))


def _has_fields(value: dict[str, Any], fields: dict[str, Any]) -> bool:
    return all(key in value and fits(value[key], kind) for key, kind in fields.items())


def _is_one_of(value: Any, *shapes: Any) -> bool:
    return any(fits(value, one) for one in shapes)


def _is_literal(value: Any, *words: Any) -> bool:
    return any(value is one or (isinstance(one, str) and value == one) for one in words)


def _is_list(value: Any, inner: Any) -> bool:
    return isinstance(value, list) and all(fits(one, inner) for one in value)


def _is_dict(value: Any, _: Any, inner: Any) -> bool:
    return isinstance(value, dict) and all(fits(one, inner) for one in value.values())


_KINDS: dict[Any, Callable[..., bool]] = {
    Union: _is_one_of,
    types.UnionType: _is_one_of,
    Literal: _is_literal,
    list: _is_list,
    dict: _is_dict,
}
