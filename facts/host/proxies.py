"""Which proxies the host's programs are told to use."""

from __future__ import annotations

import re

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

# Names and passwords are cut away on the host: up to the last @ of a value, keeping the scheme.
# A value may hold a line feed, so variables are taken apart at the zero byte.
_SETTINGS = r"""
own='/^[a-zA-Z]*_[pP][rR][oO][xX][yY]=/p'
{
    env -0 | tr '\n\0' ' \n' | sed -n "$own" | sed 's/^/environment /'
    [ ! -e /etc/environment ] || sed 's/^ *export  *//' /etc/environment |
        sed -n "$own" | sed 's/^/etc-environment /'
    ! command -v apt-config >/dev/null || must apt-config dump --format '%f=%v%n' Acquire |
        sed -n 's/^\(Acquire::[a-z]*::[pP]roxy\(::[^=]*\)\{0,1\}\)=/apt \1=/p'
} 2>/dev/null |
    sed "s/=[\"']\(.*\)[\"'] *$/=\1/" |
    sed 's#=\([a-zA-Z0-9]*://\)\{0,1\}.*@#=\1#'
exit 0
"""

_SOURCES = {"environment": "environment", "etc-environment": "/etc/environment", "apt": "apt"}
_USERINFO = re.compile(r"^([a-zA-Z0-9]*://)?.*@")


class Proxies(Fact[dict[str, dict[str, str]]]):
    """
    The proxies by where they are set, without names and passwords; ABSENT if there are none.

    ``{"environment": {"https_proxy": "http://proxy:3128"}, "/etc/environment": {…},
    "apt": {"Acquire::http::Proxy": "http://proxy:3128"}}``; places that set none are left out.
    """

    def command(self) -> StringCommand:
        return framed(_SETTINGS)

    def parse(self, lines: list[str], code: int) -> dict[str, dict[str, str]] | Absent | Unknown:
        found: dict[str, dict[str, str]] = {}
        for line in lines:
            source, _, setting = line.partition(" ")
            variable, _, value = setting.partition("=")
            if value.strip():
                found.setdefault(_SOURCES[source], {})[variable] = _USERINFO.sub(r"\1", value)
        return found or ABSENT
