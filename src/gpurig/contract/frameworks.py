"""
The frameworks that there are: what settings, facts, proofs and the resolver know of each.

All of it stands in the rows of stack/tables/frameworks.toml. Which release fits a host, and in
which build, is the resolver's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from packaging.requirements import Requirement

from gpurig.contract import table_files

# Where rig_frameworks is not set: the first of them that computes on what the host has.
DEFAULTS = ("tensorflow", "pytorch", "jax")


COMPUTES_ON = {"cpu": "CPU", "cuda": "CUDA", "mps": "Apple GPU", "tpu": "TPU"}


@dataclass(frozen=True)
class Framework:
    """
    One framework, whatever its release.

    + name: as settings call it; title: as it calls itself; module: what its programs import
    + libraries: the folder of site-packages that its libraries are in
    + proofs: the programs of workloads/ that show that it works, by their names
    + wheels: the distributions that it comes as, the usual one first
    + bases: the frameworks that it can stand on, the usual one first; empty where it computes alone
    """

    name: str
    title: str
    module: str
    libraries: str
    proofs: tuple[str, ...]
    wheels: tuple[str, ...]
    bases: tuple[str, ...]


@cache
def frameworks() -> Mapping[str, Framework]:
    """All of them by name, in the order of the table."""
    file = table_files.read("frameworks")
    found = {}
    for row in file["framework"]:
        releases = [release for release in file["release"] if release["name"] == row["name"]]
        found[row["name"]] = _framework(row, releases)
    return MappingProxyType(found)


def _framework(row: Mapping[str, Any], releases: Sequence[Mapping[str, Any]]) -> Framework:
    module = row.get("module", row["name"])
    pins = [build["pins"][0] for release in releases for build in release["builds"]]
    return Framework(
        name=row["name"],
        title=row.get("title", row["name"]),
        module=module,
        libraries=row.get("libraries", module),
        proofs=tuple(row.get("proofs", ())),
        wheels=tuple(dict.fromkeys(Requirement(pin).name for pin in pins)),
        bases=tuple(dict.fromkeys(base for one in releases for base in one.get("bases", ()))),
    )


def product(framework: str, version: str, base: str | None, accelerator: str) -> str:
    """What people call one build: ``TensorFlow 2.21.0 for CPU``."""
    on = f" on {frameworks()[base].title}" if base else ""
    return f"{frameworks()[framework].title} {version}{on} for {COMPUTES_ON[accelerator]}"


def folder(wheel: str) -> str:
    """How the name of a wheel begins, and that of its folder in site-packages (PEP 427)."""
    return wheel.replace("-", "_")


def bases() -> dict[str, tuple[str, ...]]:
    """What each framework can stand on, for those that compute on another one."""
    return {name: one.bases for name, one in frameworks().items() if one.bases}


def programs() -> tuple[str, ...]:
    """The programs of workloads/ that show that some framework works, each once."""
    return tuple(dict.fromkeys(program for one in frameworks().values() for program in one.proofs))


def proofs(framework: str, base: str | None) -> tuple[str, ...]:
    """The programs of one environment: on a base those that both name, in the base's order."""
    own = frameworks()[framework].proofs
    return own if base is None else tuple(p for p in frameworks()[base].proofs if p in own)


def keras_backend(framework: str) -> str | None:
    """What Keras calls a framework that it can compute with; None for any other."""
    known = frameworks()["keras"].bases
    return frameworks()[framework].module if framework in known else None
