"""The host's own name, and whether the host itself finds an address for it."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

HOSTS = "/etc/hosts"


class OwnName(TypedDict):
    """
    + name: as gethostname(2) has it
    + addresses: what the host's resolver finds for it; empty where it finds none
    + hosts: the lines of /etc/hosts
    """

    name: str
    addresses: list[str]
    hosts: list[str]


class HostName(Always[OwnName]):
    """
    The host's own name.

    ``{"name": "gpu01", "addresses": ["127.0.1.1"], "hosts": ["127.0.0.1 localhost", …]}``
    """

    def command(self) -> StringCommand:
        return framed(
            'n=$(uname -n) && [ -n "$n" ] || exit 1; echo "name $n";'
            " entry ahosts \"$n\" | sed -n 's/^\\([^ ]*\\) .*/address \\1/p' | sort -u;"
            f" [ ! -e {HOSTS} ] || sed 's/^/hosts /' {HOSTS}"
        )

    def parse(self, lines: list[str], code: int) -> OwnName | Unknown:
        told: dict[str, list[str]] = {"name": [], "address": [], "hosts": []}
        for line in lines:
            kind, _, rest = line.partition(" ")
            told[kind].append(rest)
        if code or not told["name"]:
            return Unknown("the host's name or /etc/hosts cannot be read")
        return OwnName(name=told["name"][0], addresses=told["address"], hosts=told["hosts"])
