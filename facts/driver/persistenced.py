"""The persistence daemon: the account that its unit names, and whose unit it is."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

_ACCOUNT = r"""
command -v systemctl >/dev/null || exit 3
unit=$(systemctl show --property=FragmentPath --value nvidia-persistenced.service 2>/dev/null)
[ -n "$unit" ] || exit 3
user=$(systemctl cat nvidia-persistenced.service 2>/dev/null |
    sed -n 's/^ExecStart=.*--user[ =]\([^ ]*\).*/\1/p; s/^User=//p' | tail -n 1)
printf 'user %s\n' "$user"
[ -z "$user" ] || { getent passwd "$user" >/dev/null && echo there; }
owner=$(dpkg -S "$unit" 2>/dev/null || dpkg -S "/usr$unit" 2>/dev/null || dpkg -S "${unit#/usr}")
printf 'package %s\n' "${owner%%:*}"
exit 0
"""


class Daemon(TypedDict):
    """
    + user: whom the unit runs the daemon as, empty for root; there: whether passwd knows them
    + package: whose the unit is, empty if no package's
    """

    user: str
    there: bool
    package: str


class PersistencedUser(Fact[Daemon]):
    """
    Whom nvidia-persistenced runs as; ABSENT without its unit.

    ``{"user": "nvpd", "there": True, "package": "nvidia-persistenced"}``
    """

    def command(self) -> StringCommand:
        return framed(f"(\n{_ACCOUNT}) 2>/dev/null")

    def parse(self, lines: list[str], code: int) -> Daemon | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("the unit of nvidia-persistenced cannot be read")
        said = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}
        user = said["user"]
        return Daemon(user=user, there=not user or "there" in said, package=said["package"])
