"""The text of a daemon.json, read as dockerd reads it."""

from __future__ import annotations

import json
from typing import Any

from gpurig.contract.values import Unknown


def understood(text: str) -> tuple[dict[str, Any], str] | Unknown:
    """What a daemon.json says to dockerd, and what of it would be lost by writing it back."""
    if "\ufffd" in text:  # what stands for bytes that are not UTF-8; dockerd refuses them
        return Unknown("it is not UTF-8")
    text = text.removeprefix("\ufeff").strip(" \t\r\n")
    objects = _Objects()
    try:
        config = json.loads(text or "{}", object_pairs_hook=objects, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        return Unknown(
            f"it is not valid JSON: {error.msg}, line {error.lineno} column {error.colno}"
        )
    except ValueError as error:
        return Unknown(str(error))
    except RecursionError:
        return Unknown("its JSON is nested too deeply")
    config = objects.outermost if isinstance(config, dict) else config
    if config is None:  # null is no key at all to dockerd
        config = {}
    if not isinstance(config, dict):
        return Unknown("it is not a JSON object")
    wrong = _misshapen(config)
    return Unknown(wrong) if wrong else _whole(config, objects.twice)


class _Objects:
    """
    Objects as dockerd takes them: of a name that is there twice the last, all together at the top.

    + twice: the first such name; outermost: the object that ended last
    """

    def __init__(self) -> None:
        self.twice = ""
        self.outermost: dict[str, Any] = {}

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.outermost = {}
        for name, value in pairs:
            old = self.outermost.get(name)
            if isinstance(old, dict) and isinstance(value, dict):
                value = {**old, **value}
            self.outermost[name] = value
        if len(pairs) > len(self.outermost):
            names = [name for name, _ in pairs]
            self.twice = self.twice or next(name for name in names if names.count(name) > 1)
        return dict(pairs)


def _whole(config: dict[str, Any], twice: str) -> tuple[dict[str, Any], str]:
    """It with what dockerd puts in the place of half a character, and what would be lost."""
    if twice:
        return config, f"it has {twice!r} twice in one object; keep one of them"
    text = json.dumps(config, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return json.loads(text), "it has half a surrogate pair in a string; correct it"
    return config, ""


def _misshapen(config: dict[str, Any]) -> str:
    """What of an object cannot be a daemon.json's, in a sentence; else empty."""
    for key in ("runtimes", "features"):
        if not isinstance(config.get(key), dict | None):
            return f"its {key} is not an object"
    for name, runtime in (config.get("runtimes") or {}).items():
        if not isinstance(runtime, dict):
            return f"its runtime {name} is not an object"
    return ""


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is not valid JSON")
