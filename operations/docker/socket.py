"""Docker's socket: for root and the group docker, and for nobody else."""

from __future__ import annotations

import re

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.docker.engine import DockerInstalled
from gpurig.facts.docker.socket import SOCKET, DockerSocket, Socket
from gpurig.operations.shared.systemd import masked_by_hand

GROUP = "docker"
# Docker's package makes the group, and nothing makes it again once somebody has removed it.
GROUP_MADE = f"{{ getent group {GROUP} >/dev/null || groupadd --system {GROUP}; }}"
NAMELESS = "UNKNOWN"  # how stat calls a group that has no entry


@keeps("docker.socket")
def socket() -> Commands:
    """
    Root and the group docker alone may use the socket: whoever may is root on the host.

    It is set right now; a drop-in of the user's that would undo it at the next start is named and
    stays. A group that the user's drop-in names is the user's decision, which is named, too.
    """
    docker, found = known(DockerInstalled), known(DockerSocket)
    if docker is ABSENT:
        return follows("docker.packages")
    if found is ABSENT:
        if masked_by_hand("docker.socket", "docker.service"):
            return holds("Docker is masked, so it has no socket")
        return follows("docker.service")
    mode, group = _wrong_mode(found), _wrong_group(found)
    if mode or group:
        lost = found["group"] == NAMELESS
        drift(
            actual=f"{SOCKET} has mode {found['mode']} and"
            f" {'a group that does not exist' if lost else 'group ' + found['group']}",
            wanted=f"mode 660 and group {GROUP if group else found['group']}",
            will=f"{f'make the group {GROUP}, ' if lost else ''}set mode and group",
            leaves=" and ".join(sorted({one["file"] for one in found["declared"].values()})),
        )
        if group:
            yield StringCommand(f"{GROUP_MADE} && chgrp {GROUP} {SOCKET}")
        if mode:
            yield StringCommand(f"chmod 660 {SOCKET}")
        return
    if wrong := _undone(found):
        return due(wrong)
    holds(f"only root and the group {found['group']} can use {SOCKET}")


def _wrong_mode(socket: Socket) -> bool:
    """Whether everybody may use it, or not even the group without the user's saying so."""
    mode = int(socket["mode"], 8)
    closed = mode & 0o060 != 0o060 and "SocketMode" not in socket["declared"]
    return bool(mode & 0o007) or closed


def _wrong_group(socket: Socket) -> bool:
    return socket["group"] != GROUP and "SocketGroup" not in socket["declared"]


def _undone(socket: Socket) -> str:
    """What of the user's undoes it at the next start, in a sentence; else empty."""
    mode, group = (socket["declared"].get(key) for key in ("SocketMode", "SocketGroup"))
    private = mode is None or re.fullmatch("[0-7]*0", mode["value"])
    if mode and not private:
        return (
            f"{mode['file']} has SocketMode={mode['value']}, which makes"
            " every user of this host root after the next start of"
            " docker.socket; remove that line"
        )
    if group and group["value"] != GROUP:
        return (
            f"{group['file']} gives the socket to the group"
            f" {group['value']}, so rig_users in the group {GROUP}"
            " cannot use it; remove that line"
        )
    return ""
