"""The persistence daemon: the account that its unit names, and whose unit it is."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages.dpkg import QUERY

_ACCOUNT = r"""
[ -d /run/systemd/system ] || exit 3
unit=$(must systemctl show --property=FragmentPath --value nvidia-persistenced.service)
[ -n "$unit" ] || exit 3
user=$(must systemctl cat nvidia-persistenced.service |
    sed -n 's/^ExecStart=.*--user[ =]\([^ ]*\).*/\1/p; s/^User=//p' | tail -n 1)
printf 'user %s\n' "$user"
[ -z "$user" ] || ! entry passwd "$user" >/dev/null || echo there
for place in "$unit" "/usr$unit" "${unit#/usr}"; do
    query -S "$place"
    [ -z "$known" ] || break
done
printf 'package %s\n' "${known%%:*}"
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
        return framed(f"(\n{QUERY}{_ACCOUNT}) 2>/dev/null")

    def parse(self, lines: list[str], code: int) -> Daemon | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("the unit of nvidia-persistenced cannot be read")
        said = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}
        user = said["user"]
        return Daemon(user=user, there=not user or "there" in said, package=said["package"])
