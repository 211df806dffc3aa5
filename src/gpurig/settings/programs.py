"""Training programs that rig_workloads names: which of gpurig's, and which of the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from gpurig import store
from gpurig.contract.frameworks import DEFAULTS
from gpurig.errors import InputError
from gpurig.settings.kinds import OWN_PROGRAM, PROGRAMS
from gpurig.settings.table import Settings

KEY = "rig_workloads"


@dataclass(frozen=True)
class OwnProgram:
    """
    A training program of the user's.

    + path: on the control machine
    + environment: the one in which it runs; empty: the only one that the host has
    """

    path: str
    environment: str

    @property
    def file(self) -> str:
        """What it is called on hosts."""
        return self.path.rpartition("/")[2]

    @property
    def label(self) -> str:
        """What its proof is called."""
        return f"{self.environment}:{self.file}".lstrip(":")


def own_programs(settings: Settings) -> tuple[OwnProgram, ...]:
    """The user's own, in their order; without an environment's name it is the only one there is."""
    found = []
    for item in settings.workloads:
        if item in PROGRAMS:
            continue
        environment, _, path = item.rpartition(":")
        found.append(OwnProgram(path, environment or _only(settings)))
    return tuple(found)


def chosen(settings: Settings) -> frozenset[str]:
    """Which of gpurig's own are to be run: those that are named, or all."""
    return frozenset(settings.workloads) & frozenset(PROGRAMS) or frozenset(PROGRAMS)


def anchored(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """
    Host data whose programs are named from this folder on, as files beside an inventory are.

    What is not right stays as it is: the settings' own check has the sentence for it.
    """
    given = data.get(KEY)
    if not isinstance(given, list | tuple):
        return dict(data)
    return {**data, KEY: [_anchored(item, folder) for item in given]}


def _anchored(item: Any, folder: Path) -> Any:
    if not isinstance(item, str) or item in PROGRAMS or not OWN_PROGRAM.fullmatch(item):
        return item
    environment, colon, path = item.rpartition(":")
    return environment + colon + os.path.abspath(folder / Path(path).expanduser())


def refuse_unreadable(settings: Settings, where: str) -> None:
    """InputError for a program that is not there, or that no environment of the host runs."""
    environments = _environments(settings)
    for item in settings.workloads:
        if item in PROGRAMS:
            continue
        environment, _, path = item.rpartition(":")
        store.refuse_foreign(Path(path))
        try:
            Path(path).read_text()
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or "it is not text"
            raise InputError(
                "workload-wrong", f"{path} of {KEY} cannot be read ({said})", where,
                "check its path",
            ) from error  # fmt: skip
        if environment and environment not in environments:
            raise InputError(
                "workload-wrong",
                f"{KEY} runs {path} in {environment}, which rig_frameworks does not name",
                where,
                f"rig_frameworks has {', '.join(environments)}",
            )
        if not environment and settings.frameworks and len(environments) > 1:
            raise InputError(
                "workload-wrong",
                f"{KEY} does not say which of {', '.join(environments)} runs {path}",
                where,
                f'write "{environments[0]}:{path}"',
            )


def _only(settings: Settings) -> str:
    """The environment of a program that names none; which default a host gets depends on it."""
    return "" if settings.frameworks is None else _environments(settings)[0]


def _environments(settings: Settings) -> list[str]:
    """The environments that a host can have."""
    if settings.frameworks is None:
        return list(DEFAULTS)
    return [Requirement(item).name.lower() for item in settings.frameworks]
