"""Users and their groups, on disk and in the sessions they have open."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class Membership(TypedDict):
    """
    Whether a user is in a group.

    + group: whether there is such a group
    + member: as the user database has it, valid for the next login
    + sessions_without: running processes of the user that do not have the group yet
    """

    group: bool
    member: bool
    sessions_without: int


# Every process has its user and groups in /proc; a login keeps those it began with. One that has
# ended meanwhile is passed over.
_PROCESSES = """awk -v uid="$u" -v gid="$g" '
function look() {
    if ($1 == "Uid:") mine = ($2 == uid)
    if ($1 == "Gid:") has = ($2 == gid)
    if ($1 == "Groups:" && mine) { for (i = 2; i <= NF; i++) if ($i == gid) has = 1; if (!has) n++ }
}
BEGIN {
    for (p = 1; p < ARGC; p++) { while ((getline < ARGV[p]) > 0) look(); close(ARGV[p]) }
    print "without " n + 0
}' /proc/[0-9]*/status"""


class GroupMembership(Fact[Membership]):
    """
    One user and one group.

    + user, group: their names

    ``{"group": True, "member": True, "sessions_without": 0}``; ABSENT when there is no such user.
    """

    def command(self, user: str, group: str) -> StringCommand:
        return framed(
            StringCommand(
                "u=$(entry passwd", QuoteString(user), ") || exit 3;",
                "u=$(printf '%s\\n' \"$u\" | cut -d: -f3);",
                "g=$(entry group", QuoteString(group), "| cut -d: -f3);",
                'if [ -z "$g" ]; then echo "no group"; exit 0; fi;',
                "case \" $(id -G --", QuoteString(user), ') " in *" $g "*) echo member ;; esac;',
                _PROCESSES,
            )
        )  # fmt: skip

    def parse(self, lines: list[str], code: int) -> Membership | Absent | Unknown:
        if code == 3:
            return ABSENT
        if lines == ["no group"]:
            return Membership(group=False, member=False, sessions_without=0)
        word, count = lines[-1].split()
        if word != "without":
            return Unknown(f"unexpected output: {lines[-1]}")
        return Membership(group=True, member=lines[0] == "member", sessions_without=int(count))
