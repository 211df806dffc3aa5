"""Docker's socket: who may use it, which is who may be root."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

SOCKET = "/run/docker.sock"


class Socket(TypedDict):
    """
    The socket as it is, and what the user's own drop-ins say of it.

    + mode: octal, ``660``; group: a name
    + declared: the files, by ``SocketMode`` and ``SocketGroup``, that set it last, where they are
      not the package's; each with its value
    """

    mode: str
    group: str
    declared: dict[str, dict[str, str]]


class DockerSocket(Fact[Socket]):
    """
    ``{"mode": "660", "group": "docker", "declared": {}}``; ABSENT where there is no socket.

    ``declared`` may be ``{"SocketMode": {"value": "0666",
    "file": "/etc/systemd/system/docker.socket.d/mine.conf"}}``.
    """

    def command(self) -> StringCommand:
        return framed(
            f"[ -S {SOCKET} ] || exit 3; stat -c '%a %G' {SOCKET};"
            " [ ! -d /run/systemd/system ] || may systemctl cat docker.socket |"
            " sed -n -e 's/^# \\(\\/.*\\)/file \\1/p' -e 's/^ *\\(Socket[A-Z][a-z]*\\) *= */\\1 /p'"
        )

    def parse(self, lines: list[str], code: int) -> Socket | Absent | Unknown:
        if code == 3:
            return ABSENT
        mode, group = lines[0].split()
        int(mode, 8)
        file, declared = "", {}
        for line in lines[1:]:
            key, _, value = line.partition(" ")
            if key == "file":
                file = value
            elif key in ("SocketMode", "SocketGroup"):
                declared[key] = {"value": value, "file": file}
        theirs = {
            key: one for key, one in declared.items() if not one["file"].startswith(_PACKAGED)
        }
        return Socket(mode=mode, group=group, declared=theirs)


_PACKAGED = ("/usr/lib/systemd/", "/lib/systemd/")
