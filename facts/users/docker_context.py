"""Which daemon the users' command ``docker`` talks to."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

SYSTEM = ("unix:///run/docker.sock", "unix:///var/run/docker.sock")
_FILES = (
    ".profile .bash_profile .bash_login .bashrc .zshenv .zprofile .zshrc .xsessionrc"
    " .config/fish/config.fish"
)
# Only plain files: a fifo would be waited for. Names and passwords in addresses are cut away.
_LOOK = r"""
t=$(printf '\t')
for u in @USERS@; do
    h=$(entry passwd "$u" | cut -d: -f6)
    [ -n "$h" ] && [ -e "$h" ] || continue
    [ -x "$h" ] || { echo "$u${t}hidden${t}$h"; continue; }
    n=$(printf '%s' "$u" | sed 's/[\\#&]/\\&/g')
    f="$h/.docker/config.json"
    [ ! -f "$f" ] || { tr -d '\n' < "$f"; echo; } |
        sed -n "s/.*\"currentContext\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" |
        sed "s#^#$n${t}context${t}$f${t}#"
    for f in @FILES@; do
        f="$h/$f"
        [ ! -f "$f" ] || sed -n \
            -e 's/^[[:space:]]*\(export \{1,\}\)\{0,1\}\(DOCKER_HOST\)=/\2=/p' \
            -e 's/^[[:space:]]*\(export \{1,\}\)\{0,1\}\(DOCKER_CONTEXT\)=/\2=/p' \
            -e 's/^[[:space:]]*set  *-[a-zA-Z]* *\(DOCKER_HOST\)  */\1=/p' "$f" |
            sed -e "s/=[\"']/=/" -e "s/[\"'].*//" -e 's#//[^/]*@#//#' \
                -e "s#^#$n${t}variable${t}$f${t}#"
    done
done
exit 0
"""


class Elsewhere(TypedDict):
    """
    One place in which a user's ``docker`` is sent to another daemon than the system's.

    + kind: ``context`` or ``variable``; what: the context's name, or ``DOCKER_HOST=unix://…``
    """

    user: str
    kind: str
    what: str
    file: str


class DockerContexts(Fact[list[Elsewhere]]):
    """
    What sends these users' ``docker`` elsewhere: a rootless daemon, Docker Desktop, another host.

    + users: names, separated by blanks

    ``[{"user": "ada", "kind": "context", "what": "rootless",
    "file": "/home/ada/.docker/config.json"}]``; ABSENT where all use the system's daemon.
    """

    def command(self, users: str) -> StringCommand:
        names = " ".join(map(shlex.quote, users.split()))
        return framed(_LOOK.replace("@USERS@", names).replace("@FILES@", _FILES))

    def parse(self, lines: list[str], code: int) -> list[Elsewhere] | Absent | Unknown:
        found = []
        if code:
            return Unknown("the users' files cannot be read")
        for line in lines:
            user, kind, file, *what = line.split("\t")
            if kind == "hidden":
                return Unknown(f"root cannot read {file}, the home of {user}")
            if kind not in ("context", "variable"):
                return Unknown(f"unexpected output: {line}")
            value = what[0].partition("=")[2] if kind == "variable" else what[0]
            if value in ("", "default", *SYSTEM):
                continue
            found.append(Elsewhere(user=user, kind=kind, what=what[0], file=file))
        return found or ABSENT
