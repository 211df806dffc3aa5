"""The words that say which hosts: an inventory, names of hosts, or none for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpurig.errors import InputError


def is_file(source: str | None) -> bool:
    """Whether a target means an inventory rather than names of hosts."""
    if source is None:
        return False
    looks_so = "/" in source and "@" not in source and "," not in source
    return source.endswith(".py") or looks_so or Path(source).is_file()


def joined(words: Sequence[str]) -> str | None:
    """
    The target of a command's words: ``gpu01 gpu02`` is ``gpu01,gpu02``.

    InputError: an empty word among others, or an inventory that is not the only word.
    """
    if len(words) < 2:
        return words[0] if words else None
    if not all(word.strip() for word in words):
        what = "one of the hosts is an empty word"
        raise InputError("target-empty", what, "TARGET", "leave it out, or name the host")
    files = [word for word in words if is_file(word)]
    if len(files) > 1:
        what = f"{files[0]} and {files[1]} are two inventories"
        raise InputError("target-mixed", what, "TARGET", "run gpurig once for each of them")
    if files:
        others = ",".join(word.strip().rstrip(",") for word in words if word not in files)
        what = f"{files[0]} is an inventory, which takes no other hosts"
        do = f"for some of its hosts write {files[0]} --limit {others}"
        raise InputError("target-mixed", what, "TARGET", do)
    return ",".join([*(word.strip().rstrip(",") for word in words[:-1]), words[-1]])
