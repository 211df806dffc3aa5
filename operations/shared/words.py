"""Words of plans: names that are many, and what is said only where it is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def few(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """``1 archive``, ``4 archives``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def those(words: Mapping[str, object]) -> list[str]:
    """The words whose condition is true, in their order."""
    return [word for word, is_so in words.items() if is_so]
