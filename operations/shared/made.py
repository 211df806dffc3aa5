"""Notes of what gpurig gave a host, where nothing shows it later; `gpurig remove` reads them."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from gpurig.facts.docker.daemon_json import DaemonFile
from gpurig.facts.removal.made import RECORD


def noted(*entries: Mapping[str, Any]) -> str:
    """
    Shell that adds these to the record on the host, after what they tell was done.

    + entries: each as `facts.removal.made.MadeRecord` reads it
    """
    lines = " ".join(shlex.quote(json.dumps(entry, sort_keys=True)) for entry in entries)
    return f"mkdir -p {RECORD.rpartition('/')[0]} && printf '%s\\n' {lines} >> {RECORD}"


def digest(value: Any) -> str:
    """The SHA-256 by which a value of daemon.json is known again."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def notes(file: DaemonFile, after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    The entries for a change of a daemon.json: the file if it was not there, and each new key.

    Objects are told one step deeper, so that what a user puts beside ours is theirs.
    """
    config = file["config"]
    found: list[dict[str, Any]] = [] if file["changed"] else [{"file": file["path"]}]
    for key, value in after.items():
        old = config.get(key)
        if key not in config and not isinstance(value, Mapping):
            found.append({"key": [key], "sha256": digest(value)})
        elif isinstance(value, Mapping) and (key not in config or isinstance(old, Mapping)):
            inner = old if isinstance(old, Mapping) else {}
            found += [
                {"key": [key, name], "sha256": digest(one)}
                for name, one in value.items()
                if name not in inner
            ]
    return found
