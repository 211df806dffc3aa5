"""What the user gave, made into settings and checked before any host is contacted."""

from __future__ import annotations

import difflib
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gpurig.errors import InputError
from gpurig.settings.table import PREFIX, TABLE, Setting, Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def validate(data: Mapping[str, Any], where: str) -> Settings:
    """
    The settings among ``data``; keys that do not begin with ``rig_`` are somebody else's.

    + data: host data or wishes, ``{"rig_users": ["ada"], "ssh_user": …}``
    + where: what errors name, such as ``inventories/lab.py, gpu01``

    InputError, one sentence: an unknown key, a wrong value, or values that contradict each other.
    """
    given: dict[str, Any] = {}
    for key, value in data.items():
        if not isinstance(key, str) or not key.startswith(PREFIX):
            continue
        if value is None:  # in an inventory that means: as if it were not there
            _known(key, where)
        else:
            given[_known(key, where).name] = checked(key, value, where)
    settings = Settings(**given)
    _refuse_contradictions(settings, where)
    return settings


def parse_set(wishes: Iterable[str]) -> dict[str, Any]:
    """
    Data from words such as ``rig_key=value``, of which a later one replaces an earlier one.

    A value is TOML; a bare word is text, and where the setting is a list, words with commas are
    one. Where the setting is text, ``3.10`` is text as well. InputError where it is neither, or
    where the value is wrong.
    """
    data: dict[str, Any] = {}
    for wish in wishes:
        key, separator, value = wish.partition("=")
        key = key.strip()
        if not separator:
            raise InputError(
                "set-invalid", f"{key} has no value", "--set", f'write it as --set "{key}=value"'
            )
        _known(key, "--set")
        if not value.strip():
            raise InputError(
                "set-invalid", f"{key} has an empty value", "--set",
                f"write {as_option(TABLE[key])}, or leave --set {key} out",
            )  # fmt: skip
        data[key] = _parsed(TABLE[key], value.strip())
        checked(key, data[key], "--set", as_option)
    return data


def _parsed(setting: Setting, value: str) -> Any:
    toml = value[:1] in ('"', "'", "[", "{")
    if not toml and setting.kind == "list":
        return [word.strip() for word in value.split(",") if word.strip()]
    if not toml and setting.kind not in ("boolean", "table"):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "set-invalid",
            f"{setting.key} has a value that is not TOML",
            "--set",
            f"for example {as_option(setting)}",
        ) from error


def in_inventory(setting: Setting) -> str:
    """A setting's example as data of a host or a group: ``{"rig_jupyter": True}``."""
    value = setting.example.title() if setting.kind == "boolean" else setting.example
    return f'{{"{setting.key}": {value}}}'


def in_toml(setting: Setting) -> str:
    """A setting's example as a line of a `gpurig.toml`: ``rig_limits = {command = 14400}``."""
    return f"{setting.key} = {_as_toml(setting)}"


def as_option(setting: Setting) -> str:
    """A setting's example as words of a shell: ``--set 'rig_users=["ada"]'``."""
    return f"--set {shlex.quote(f'{setting.key}={_as_toml(setting)}')}"


def _as_toml(setting: Setting) -> str:
    if setting.kind != "table":
        return setting.example
    return _inline(json.loads(setting.example))


def _inline(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    items = (f"{key} = {_inline(item)}" for key, item in value.items())
    return "{" + ", ".join(items) + "}"


def checked(
    key: str, value: Any, where: str, example: Callable[[Setting], str] = in_inventory
) -> Any:
    """
    The value of one setting as `Settings` has it; InputError if key or value are wrong.

    + example: writes the setting's example as it is right in that place
    """
    setting = _known(key, where)
    try:
        return setting.check(value)
    except ValueError as error:
        raise InputError(
            "setting-wrong",
            f"{setting.key} must be {error}",
            where,
            f"for example {example(setting)}",
        ) from error


def _known(key: str, where: str) -> Setting:
    if key not in TABLE:
        raise unknown(key, where)
    return TABLE[key]


def unknown(key: str, where: str, names: int = 1) -> InputError:
    """
    The error of a key that is none.

    + names: how many of the nearest keys it tells
    """
    meant = " or ".join(nearest(key, names))
    do = f"did you mean {meant}?" if meant else "gpurig settings lists all settings"
    return InputError("setting-unknown", f"there is no setting {key}", where, do)


def nearest(key: str, names: int = 1) -> list[str]:
    """The keys that are like this one, the nearest first; at most as many as ``names``."""
    known = [name.removeprefix(PREFIX) for name in TABLE]
    near = difflib.get_close_matches(key.removeprefix(PREFIX), known, n=names, cutoff=0.5)
    return [PREFIX + name for name in near]


def _refuse_contradictions(settings: Settings, where: str) -> None:
    components, source = settings.components, settings.driver_source
    wishes = (settings.driver_branch, settings.driver_flavour)
    contradictions = {
        'rig_driver_source = "none" and driver in rig_components contradict each other': (
            source == "none" and "driver" in components
        ),
        'rig_driver_source = "none" and rig_driver_branch or'
        " rig_driver_flavour contradict each other": (
            source == "none" and wishes != ("auto", "auto")
        ),
        "rig_components names container-toolkit but not docker": (
            "container-toolkit" in components and "docker" not in components
        ),
        "rig_docker_rootless needs docker in rig_components": (
            settings.docker_rootless and bool(components) and "docker" not in components
        ),
        "rig_docker_rootless needs at least one user in rig_users": (
            settings.docker_rootless and not settings.users
        ),
    }
    for what, contradicts in contradictions.items():
        if contradicts:
            raise InputError("settings-contradict", what, where, "change one of them")
