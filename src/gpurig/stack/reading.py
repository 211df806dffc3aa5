"""How what the resolver reads comes from a host, and from facts that were saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gpurig.contract.fact import read
from gpurig.contract.shape import fits
from gpurig.contract.values import Absent, Unknown, from_json
from gpurig.errors import InputError
from gpurig.facts.host.distribution import OsRelease
from gpurig.facts.kernel.kernels import Kernels
from gpurig.facts.registry import FACTS, shape
from gpurig.stack.observed import Observed

# Which kernels may boot is for promises alone, and a described host has no image.
_LESS: dict[str, Any] = {"kernel": Kernels, "os": OsRelease}


def observe(venv_root: str) -> Observed:
    """
    What the resolver needs, read on the current host.

    + venv_root: the folder that holds its environments
    """
    about = {"frameworks": {"root": venv_root}, "disk": {"venv_root": venv_root}}
    return Observed(
        **{
            field.name: read(FACTS[field.name], **about.get(field.name, {}))
            for field in fields(Observed)
        }
    )


def saved(facts: Mapping[str, Any]) -> Observed:
    """
    What the resolver needs, of what ``gpurig facts --json`` wrote, or a person by hand.

    InputError where the value of a fact that the resolver reads has another shape.
    """
    for key in (field.name for field in fields(Observed) if field.name in facts):
        value = from_json(facts[key])
        if not isinstance(value, Absent | Unknown) and not fits(value, expected(key)):
            raise InputError(
                "facts-invalid",
                f"the fact {key} is not what `gpurig facts --json` prints",
                do="write the facts again",
            )
    return Observed.from_facts(facts)


def expected(key: str) -> Any:
    """The type of what the resolver reads of a fact: all of it, or less."""
    return _LESS.get(key) or shape(FACTS[key])
