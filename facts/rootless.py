"""Docker without root: what a user's own daemon stands on, what it is, and what it says."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.daemon_json import TEXT, DaemonConfig, DaemonFile
from gpurig.facts.docker.engine import CLIENT, Daemon, DockerInfo

UNIT = "/etc/systemd/user/docker.service"


def acting_as(user: str) -> str:
    """
    Shell that sets ``u``, ``i`` and ``h`` (name, number, home) and defines ``as_user COMMAND``.

    It exits with 3 where there is no such user. What lies in a home is read and written as its
    owner only: a link in there may lead anywhere.
    """
    return (
        f'u={shlex.quote(user)}; e=$(getent passwd -- "$u"); case $? in 0) ;; 2) exit 3 ;;'
        " *) echo 'E: getent failed' >&2; exit 4 ;; esac;"
        ' i=$(printf "%s\\n" "$e" | cut -d: -f3);'
        ' h=$(printf "%s\\n" "$e" | cut -d: -f6); cd /;'
        ' as_user() { runuser -u "$u" -- env -u DOCKER_HOST -u DOCKER_CONTEXT -u DOCKER_CONFIG'
        ' -u XDG_CONFIG_HOME HOME="$h" XDG_RUNTIME_DIR="/run/user/$i"'
        ' DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$i/bus" "$@"; };'
    )


class Script(TypedDict):
    """
    What starts a rootless dockerd.

    + path: ``/usr/share/docker.io/contrib/dockerd-rootless.sh``
    + shows_cdi: whether it makes the host's CDI folders visible to the daemon (moby/moby#48541)
    """

    path: str
    shows_cdi: bool


class RootlessScript(Fact[Script]):
    """Docker's dockerd-rootless.sh, wherever its packaging put it; ABSENT without it."""

    def command(self) -> StringCommand:
        return framed(
            "for f in /usr/bin /usr/share/docker.io/contrib /usr/libexec/docker; do"
            ' f="$f/dockerd-rootless.sh"; [ -x "$f" ] || continue; echo "$f";'
            ' [ -z "$(sed -n "/\\/etc\\/cdi/p" "$f")" ] || echo cdi; exit 0; done; exit 3'
        )

    def parse(self, lines: list[str], code: int) -> Script | Absent | Unknown:
        return ABSENT if code else Script(path=lines[0], shows_cdi="cdi" in lines[1:])


class RootlessUnit(Fact[str]):
    """The text of the unit that systemd has for every user's dockerd; ABSENT without one."""

    def command(self) -> StringCommand:
        return framed(f"[ -e {UNIT} ] || exit 3; cat {UNIT}")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        return Unknown(f"{UNIT} cannot be read") if code else "\n".join(lines) + "\n"


class CdiFolder(Always[bool]):
    """Whether the folder /run/cdi is there, and is made again early at every boot."""

    def command(self) -> StringCommand:
        return framed(
            "[ -d /run/cdi ] && command -v systemd-tmpfiles >/dev/null || exit 0;"
            " must systemd-tmpfiles --cat-config 2>/dev/null |"
            " sed -nE"
            " 's,^[dD][^[:space:]]*[[:space:]]+(/var)?/run/cdi/?([[:space:]].*)?$,lasting,p'"
        )

    def parse(self, lines: list[str], code: int) -> bool | Unknown:
        return "lasting" in lines


class Owner(TypedDict):
    """
    What a user has for a Docker of their own.

    + subuids, subgids: how many subordinate ids are theirs
    + lingers: whether their systemd runs from boot on, without a login
    + namespaces: whether they can make a user namespace
    + load, active, enabled: of their docker.service, in systemd's words; empty while their systemd
      does not run
    + stale: whether their systemd has not read the unit that is on disk
    """

    subuids: int
    subgids: int
    lingers: bool
    namespaces: bool
    load: str
    active: str
    enabled: str
    stale: bool


class RootlessOwner(Fact[Owner]):
    """
    One user, as `Owner` says; ABSENT when there is no such user.

    + user: their name
    """

    def command(self, user: str) -> StringCommand:
        return framed(
            acting_as(user) + " for f in subuid subgid; do"
            ' printf "%ss " "$f"; [ ! -e /etc/$f ] || cat /etc/$f | u=$u i=$i awk -F:'
            ' \'$1 == ENVIRON["u"] || $1 == ENVIRON["i"] { n += $3 } END { print n + 0 }\'; done;'
            # systemd writes a backslash of a name as \\x5c
            " l=$(printf '%s' \"$u\" | sed 's/\\\\/\\\\x5c/g');"
            ' [ ! -e "/var/lib/systemd/linger/$l" ] || echo lingers yes;'
            " ! may as_user unshare --user true || echo namespaces yes;"
            ' [ ! -S "/run/user/$i/systemd/private" ] || { as_user systemctl --user show'
            " docker.service --property=LoadState,ActiveState,UnitFileState,NeedDaemonReload"
            " 2>/dev/null || unread systemctl $?; } | tr '=' ' '; :"
        )

    def parse(self, lines: list[str], code: int) -> Owner | Absent | Unknown:
        if code == 3:
            return ABSENT
        said = dict(line.partition(" ")[::2] for line in lines)
        return Owner(
            subuids=int(said["subuids"]),
            subgids=int(said["subgids"]),
            lingers="lingers" in said,
            namespaces="namespaces" in said,
            load=said.get("LoadState", ""),
            active=said.get("ActiveState", ""),
            enabled=said.get("UnitFileState", ""),
            stale=said.get("NeedDaemonReload") == "yes",
        )


class UserDaemonConfig(Fact[DaemonFile]):
    """
    The daemon.json of a user's own dockerd, read as that user; as `DaemonConfig` says.

    + user: their name
    """

    def command(self, user: str) -> StringCommand:
        return framed(
            acting_as(user) + f" as_user sh -c '{TEXT} "
            'f=$(readlink -f -- "$1") || { [ ! -L "$1" ] && exit 3; exit 4; };'
            ' if [ ! -e "$f" ]; then [ -L "$1" ] && exit 4; exit 3; fi;'
            ' [ -f "$f" ] || exit 5; echo "$f"; stat -c %.6Z -- "$f" && text "$f"'
            '\' sh "$h/.config/docker/daemon.json"'
        )

    def parse(self, lines: list[str], code: int) -> DaemonFile | Absent | Unknown:
        return DaemonConfig().parse(lines, code)


class UserDockerInfo(Fact[Daemon]):
    """
    What a user's own dockerd uses, by value; ABSENT when it does not run.

    + user: their name
    """

    def command(self, user: str) -> StringCommand:
        return framed(
            acting_as(user) + ' [ -S "/run/user/$i/systemd/private" ] || exit 3;'
            " as_user systemctl --user is-active --quiet docker.service 2>/dev/null;"
            " case $? in 0) ;; 3|4) exit 3 ;; *) failed systemctl $? ;; esac;"
            f" {CLIENT} || exit 4;"
            ' as_user timeout 20 docker --host "unix:///run/user/$i/docker.sock"'
            " info --format '{{json .}}'"
        )

    def parse(self, lines: list[str], code: int) -> Daemon | Absent | Unknown:
        return DockerInfo().parse(lines, code)


class Contexts(TypedDict):
    """The contexts of a user's ``docker``: the one in use, and each with its endpoint."""

    current: str
    endpoints: dict[str, str]


class UserContexts(Fact[Contexts]):
    """
    Which daemon a user's ``docker`` talks to; ABSENT without the command or the user.

    + user: their name

    ``{"current": "rootless", "endpoints": {"default": "unix:///var/run/docker.sock", …}}``
    """

    def command(self, user: str) -> StringCommand:
        return framed(
            acting_as(user) + f" {CLIENT} || exit 3; as_user docker context ls"
            " --format '{{.Current}} {{.Name}} {{.DockerEndpoint}}'"
        )

    def parse(self, lines: list[str], code: int) -> Contexts | Absent | Unknown:
        if code == 3:
            return ABSENT
        rows = [line.split() for line in lines if line]
        current = [row[1] for row in rows if row[0] == "true"]
        if code or len(current) != 1:
            return Unknown("docker context ls does not answer")
        return Contexts(current=current[0], endpoints={row[1]: "".join(row[2:3]) for row in rows})
