"""As whom gpurig works on the host, and whether that account can become root."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

_ACCOUNT = r"""
uid=$(id -u)
printf 'name %s\n' "$(entry passwd "$uid" | cut -d: -f1)"
printf 'uid %s\n' "$uid"
printf 'groups %s\n' "$(may id -Gn)"
if [ "$uid" = 0 ]; then echo 'sudo not-needed'
elif ! tool sudo sudo; then echo 'sudo missing'
elif may sudo -n true; then echo 'sudo free'
else echo 'sudo asks'
fi
"""


class Login(TypedDict):
    """
    An account and what its session may do.

    + groups: those of this session; a group added later counts from the next login on
    + sudo: whether it gets root without being asked for a password (root does)
    + sudo_installed: whether there is a sudo to ask; not looked for as root
    """

    name: str
    uid: int
    groups: list[str]
    sudo: bool
    sudo_installed: bool


class Account(Always[Login]):
    """
    The account that facts are read as.

    ``{"name": "ada", "uid": 1000, "groups": ["ada", "sudo"], "sudo": False,
    "sudo_installed": True}``
    """

    def command(self) -> StringCommand:
        return framed(_ACCOUNT)

    def parse(self, lines: list[str], code: int) -> Login | Unknown:
        said = dict(line.split(" ", 1) for line in lines)
        sudo = said["sudo"]
        if sudo not in ("not-needed", "missing", "free", "asks"):
            return Unknown(f"gpurig cannot tell whether sudo works: {sudo}")
        return {
            "name": said["name"] or said["uid"],
            "uid": int(said["uid"]),
            "groups": said["groups"].split(),
            "sudo": sudo in ("not-needed", "free"),
            "sudo_installed": sudo in ("free", "asks"),
        }
