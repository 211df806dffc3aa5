"""gpurig's own record of what it gave a host, where that cannot be seen afterwards."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

RECORD = "/var/lib/gpurig/made"  # one JSON object a line, as operations.shared.made writes them


class Made(TypedDict):
    """
    What gpurig gave.

    + group_docker: users that it added to the group docker
    + daemon_keys: keys of daemon.json that it added, one or two names deep, each with the SHA-256
      of its value as JSON with sorted keys
    + daemon_file: whether there was no daemon.json before
    + roots: folders in which it made environments
    """

    group_docker: list[str]
    daemon_keys: list[tuple[list[str], str]]
    daemon_file: bool
    roots: list[str]


class MadeRecord(Always[Made]):
    """The record; without one, nothing that could be known to be gpurig's."""

    def command(self) -> StringCommand:
        return framed(f"[ ! -e {RECORD} ] || cat {RECORD}")

    def parse(self, lines: list[str], code: int) -> Made | Unknown:
        if code:
            return Unknown(f"{RECORD} cannot be read")
        told: list[dict[str, Any]] = [json.loads(line) for line in lines if line]
        keys = {tuple(map(str, one["key"])): str(one["sha256"]) for one in told if "key" in one}
        return Made(
            group_docker=sorted({str(one["user"]) for one in told if "user" in one}),
            daemon_keys=[(list(key), sha256) for key, sha256 in keys.items()],
            daemon_file=any("file" in one for one in told),
            roots=sorted({str(one["root"]) for one in told if "root" in one}),
        )
