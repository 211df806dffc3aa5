"""Which facts a host's run asked for last time, so that the next run reads them in one exec."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

from pyinfra.api import FactBase, StringCommand

from gpurig import store
from gpurig.errors import GpurigError, InputError

Asked = tuple[str, str, tuple[tuple[str, Any], ...]]  # module, class, arguments

_TRUSTED = ("gpurig.facts.", "pyinfra.facts.")  # classes of nothing else are ever loaded


def asked(fact: type[FactBase[Any]], arguments: dict[str, Any]) -> Asked:
    """A question in the form in which it is kept."""
    return fact.__module__, fact.__qualname__, tuple(sorted(arguments.items()))


def remembered(host: str) -> list[Asked]:
    """What was asked of this host last time; empty when that is not known or not readable."""
    try:
        rows = json.loads(store.read(_file(host)))
        return [(module, name, tuple((k, v) for k, v in rest)) for module, name, rest in rows]
    except (InputError, ValueError, TypeError):
        return []


def remember(host: str, questions: list[Asked]) -> None:
    """Keep what was asked; a cache that cannot be written costs time and nothing else."""
    try:
        store.write(_file(host), json.dumps(questions))
    except (GpurigError, TypeError):
        return


def commands(questions: list[Asked]) -> list[StringCommand]:
    """The commands of these questions, built by the fact classes of this version."""
    built = []
    for module, name, arguments in questions:
        if not module.startswith(_TRUSTED):
            continue
        try:
            fact = getattr(importlib.import_module(module), name)()
            if not isinstance(fact, FactBase) or fact.requires_command(**dict(arguments)):
                continue  # pyinfra wraps these; they are read singly
            built.append(StringCommand(fact.command(**dict(arguments))))
        except (ImportError, AttributeError, TypeError):
            continue  # the fact is gone or takes other arguments now: it is read when asked for
    return built


def _file(host: str) -> Path:
    return store.cache() / f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', host)}.json"
