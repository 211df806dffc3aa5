"""Docker's socket: for root and the group docker, and for nobody else."""

from __future__ import annotations

import re
from collections.abc import Generator

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.docker.engine import DockerInstalled
from gpurig.facts.docker.socket import SOCKET, DockerSocket, Socket
from gpurig.facts.host.systemd import Units

GROUP = "docker"


@keeps("docker.socket")
def socket() -> Generator[StringCommand, None, None]:
    """
    Root and the group docker alone may use the socket: whoever may is root on the host.

    It is set right now; a drop-in of the user's that would undo it at the next start is named and
    stays. A group that the user's drop-in names is the user's decision, which is named, too.
    """
    docker, found = read(DockerInstalled), read(DockerSocket)
    for fact in (docker, found):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if docker is ABSENT:
        return follows("docker.packages")
    if not isinstance(found, dict):
        units = read(Units, units="docker.socket docker.service")
        if isinstance(units, dict) and any(one["load"] == "masked" for one in units.values()):
            return holds("Docker is masked: there is no socket")
        return follows("docker.service")
    mode, declared = int(found["mode"], 8), found["declared"]
    others = bool(mode & 0o007)
    closed = mode & 0o060 != 0o060 and "SocketMode" not in declared
    group = found["group"] != GROUP and "SocketGroup" not in declared
    if others or closed or group:
        drift(
            actual=f"{SOCKET} is {found['mode']} and of the group {found['group']}",
            wanted=f"660 and of the group {GROUP if group else found['group']}",
            will="set it right",
            leaves=" and ".join(sorted({one["file"] for one in declared.values()})),
        )
        if group:
            yield StringCommand(f"chgrp {GROUP} {SOCKET}")
        if others or closed:
            yield StringCommand(f"chmod 660 {SOCKET}")
        return
    if wrong := _undone(found):
        return due(wrong)
    holds(f"{SOCKET} is for root and the group {found['group']}")


def _undone(socket: Socket) -> str:
    """What of the user's undoes it at the next start, in a sentence; else empty."""
    mode, group = (socket["declared"].get(key) for key in ("SocketMode", "SocketGroup"))
    private = mode is None or re.fullmatch("[0-7]*0", mode["value"])
    if mode and not private:
        return (
            f"{mode['file']} has SocketMode={mode['value']}, which makes everybody on this host"
            " root at the next start of docker.socket; remove it there"
        )
    if group and group["value"] != GROUP:
        return (
            f"{group['file']} gives the socket to the group {group['value']}: rig_users, who are in"
            f" the group {GROUP}, cannot use it; remove it there"
        )
    return ""
