"""The system user of the workloads, and whose data lie in its folder."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.rootless import UNIT

DATA = "/var/lib/gpurig/datasets"


class SystemUser(TypedDict):
    """
    The user gpurig.

    + ours: whether it is a system user with the home and the shell that gpurig gives it
    + processes: how many it has
    """

    ours: bool
    processes: int


class OwnUser(Fact[SystemUser]):
    """The user gpurig; ABSENT when there is none."""

    def command(self) -> StringCommand:
        return framed(
            'e=$(entry passwd gpurig) || exit 3; n=0; i=$(printf "%s\\n" "$e" | cut -d: -f3);'
            " for p in $(find /proc -ignore_readdir_race -maxdepth 1 -name '[0-9]*' -uid \"$i\");"
            " do n=$((n + 1)); done;"
            ' echo "$n $e"'
        )

    def parse(self, lines: list[str], code: int) -> SystemUser | Absent | Unknown:
        if code:
            return ABSENT
        number, entry = lines[0].split(" ", 1)
        _, _, uid, _, _, home, shell = entry.split(":")
        ours = int(uid) < 1000 and home == DATA and shell.endswith("/nologin")
        return SystemUser(ours=ours, processes=int(number))


class UsersOfUnit(Always[list[str]]):
    """The users whose own systemd starts gpurig's unit for Docker without root: ``["ann"]``."""

    def command(self) -> StringCommand:
        link = ".config/systemd/user/default.target.wants/docker.service"
        return framed(
            "users=$(getent passwd) || exit 4; printf '%s\\n' \"$users\" |"
            " while IFS=: read -r u _ _ _ _ h _; do"
            f' l="$h/{link}"; [ ! -L "$l" ] || [ "$(readlink "$l")" != {UNIT} ] || echo "$u"; done'
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        return Unknown("the users of the host cannot be listed") if code == 4 else lines


class DataOfOthers(Always[list[str]]):
    """
    The names in the folder of data in which something is not the user gpurig's, ``["mine"]``.

    What that user has there, its programs have written.
    """

    def command(self) -> StringCommand:
        return framed(
            f'u=$(entry passwd gpurig) && u=$(echo "$u" | cut -d: -f3) || u=none;'
            f" for f in {DATA}/* {DATA}/.[!.]*; do"
            ' [ -e "$f" ] || [ -L "$f" ] || continue; if [ "$u" = none ] ||'
            ' [ -n "$(find "$f" -ignore_readdir_race ! -uid "$u" -print -quit)" ];'
            ' then echo "${f##*/}"; fi; done'
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        return Unknown(f"{DATA} cannot be looked through") if code else lines
