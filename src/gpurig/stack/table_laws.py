"""The laws of a row, of gpurig's tables and of a user's: its columns, and what each may hold."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar, get_type_hints

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from gpurig.contract.frameworks import frameworks
from gpurig.contract.shape import fits
from gpurig.settings.places import url
from gpurig.stack.rows import BranchRow, BuildRow, DriverRow, NvidiaRepositoryRow, ReleaseRow, Row

PLATFORMS = ("linux-x86_64", "linux-aarch64", "macos-arm64")
EXTRAS = {"and-cuda", "cuda12", "cuda13", "cuda14", "tpu"}
_DRIVER = re.compile(r"\d{3}(\.\d{2,3}){1,2}")
_PYTHON = re.compile(r"3\.\d{1,2}")
_CAPABILITY = re.compile(r"\d{1,2}\.\d[af]?(\+PTX)?")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")

R = TypeVar("R", bound=Row)


def built(kind: type[R], columns: dict[str, Any]) -> R:
    """A row of its columns; ValueError says which of them is not right."""
    row = kind(**_checked(kind, columns))
    if isinstance(row, ReleaseRow):
        _release(row)
    elif isinstance(row, DriverRow):
        _driver(row)
    elif isinstance(row, BranchRow):
        _branch(row)
    elif isinstance(row, NvidiaRepositoryRow):
        _repository(row)
    return row


def _checked(kind: type[Any], columns: Any) -> dict[str, Any]:
    if not isinstance(columns, dict):
        raise ValueError("it is no table of columns")
    hints = get_type_hints(kind)
    unknown = sorted(set(columns) - set(hints))
    if unknown:
        raise ValueError(f"it has a column {unknown[0]!r}, which gpurig does not know")
    made = dict(columns)
    if kind is ReleaseRow and isinstance(columns.get("builds"), list):
        made["builds"] = [BuildRow(**_checked(BuildRow, build)) for build in columns["builds"]]
    for name, value in made.items():
        if not fits(value, hints[name]) or isinstance(value, datetime):
            raise ValueError(f"{name} is {value!r:.40}, which is of another kind")
        if not _printable(value):
            raise ValueError(f"{name} has a character that is no text")
    for field in fields(kind):
        if field.name not in made and field.default is field.default_factory:
            raise ValueError(f"it has no {field.name}")
    return made


def _printable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_printable, (*value, *value.values())))
    if isinstance(value, list):
        return all(map(_printable, value))
    return not isinstance(value, str) or value.isprintable()


def _release(row: ReleaseRow) -> None:
    if row.name not in frameworks():
        raise ValueError(f"name is {row.name!r}, which is no framework that gpurig sets up")
    _version(row.version)
    _all(_PYTHON, row.python, "python")
    if not row.builds:
        raise ValueError("it has no builds")
    if set(row.bases) - set(frameworks()):
        raise ValueError("bases names a framework that gpurig does not set up")
    for bound in row.bases.values():
        _bounds(bound)
    for pin in row.workload_pins:
        _pin(pin)
    for build in row.builds:
        _build(row, build)


def _build(row: ReleaseRow, build: BuildRow) -> None:
    if not build.platforms or set(build.platforms) - set(PLATFORMS):
        raise ValueError(f"platforms is none of {', '.join(PLATFORMS)}")
    own = [_pin(pin) for pin in build.pins][:1]
    wheels = frameworks()[row.name].wheels
    if not own or own[0].name not in wheels or str(own[0].specifier) != f"=={row.version}":
        raise ValueError(f"the first of pins is not {wheels[0]}=={row.version}")
    if own[0].extras - EXTRAS:
        raise ValueError(f"pins asks for an extra that is none of {', '.join(sorted(EXTRAS))}")
    computes = build.accelerator == "cuda" and not row.bases
    if bool(build.cuda) != computes:
        raise ValueError("cuda is there for builds for CUDA, and for no others")
    for bound in filter(None, (build.cuda, build.cudnn, build.nccl)):
        _bounds(bound)
        if not bound.startswith((">=", "==")):
            raise ValueError(f"{bound!r} does not begin with its lowest version")
    _all(_CAPABILITY, build.capabilities, "capabilities")
    if build.index is not None:
        url(build.index)


def _driver(row: DriverRow) -> None:
    for version in filter(None, (row.version, row.newest)):
        _all(_DRIVER, [version], "version or newest")
        if version.partition(".")[0] != str(row.branch):
            raise ValueError(f"version {version} is not of branch {row.branch}")
    extra = [row.fabric_manager] if row.fabric_manager else []
    _all(_PACKAGE, [*row.packages, row.module, row.dkms, *extra], "packages")
    _all(
        _WORD,
        [row.distribution, row.release, *row.components, *row.fabric_components],
        "components",
    )


def _branch(row: BranchRow) -> None:
    _all(_DRIVER, row.versions, "versions")
    if any(version.partition(".")[0] != str(row.number) for version in row.versions):
        raise ValueError(f"versions has one that is not of branch {row.number}")
    if row.kind not in ("LTS", "production", "new feature", "legacy"):
        raise ValueError(f"kind is {row.kind!r:.40}, which is none")


def _repository(row: NvidiaRepositoryRow) -> None:
    _all(_WORD, [row.name, row.key, *row.machines.values()], "name, key or machines")
    _all(_FINGERPRINT, [row.fingerprint] if row.fingerprint else [], "fingerprint")


def _all(pattern: re.Pattern[str], values: list[str], column: str) -> None:
    for value in values:
        if not pattern.fullmatch(value):
            raise ValueError(f"{column} has {value!r:.40}, which is none")


def _version(version: str) -> None:
    try:
        Version(version)
    except InvalidVersion as error:
        raise ValueError(f"version is {version!r:.40}, which is none") from error


def _bounds(bounds: str) -> None:
    try:
        SpecifierSet(bounds)
    except InvalidSpecifier as error:
        raise ValueError(f"{bounds!r:.40} is no bound on a version") from error


def _pin(pin: str) -> Requirement:
    try:
        asked = Requirement(pin)
    except InvalidRequirement as error:
        raise ValueError(f"pins has {pin!r:.60}, which is no requirement") from error
    if asked.url:
        raise ValueError("pins has an address, where gpurig wants a version")
    return asked
