"""Users: what they are allowed to do with Docker."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.docker.engine import DockerInstalled
from gpurig.facts.users.groups import GroupMembership
from gpurig.operations.docker.socket import GROUP_MADE
from gpurig.operations.shared.made import noted


@keeps("users.docker-group")
def docker_group(users: Sequence[str]) -> Commands:
    """
    Users who may use Docker without sudo: whoever is in the group ``docker`` is as good as root.

    + users: their names; they must exist, none is made here
    """
    docker = read(DockerInstalled)
    missing: list[str] = []
    waiting: list[str] = []
    for user in users:
        membership = read(GroupMembership, user=user, group="docker")
        if membership is ABSENT:
            return unknown(
                f"user {user} does not exist; make the user first, or remove it from rig_users"
            )
        if isinstance(membership, Unknown):
            return unknown(f"groups of {user}: {membership.reason}")
        if not membership["group"] and not isinstance(docker, dict):
            return follows("docker.packages", "Docker's package makes the group docker")
        if not membership["member"]:
            missing.append(user)
        elif membership["sessions_without"] and user != "root":
            waiting.append(user)
    if missing:
        drift(
            actual=f"not in the group docker: {', '.join(missing)}",
            wanted="in the group docker",
            will="add them to the group docker (means root), from their next login on",
            leaves="all other groups and members",
        )
        for user in missing:
            # gpasswd and not usermod: it also takes users of a directory service
            yield StringCommand(
                f"{GROUP_MADE} && gpasswd --add", QuoteString(user), "docker &&",
                noted({"user": user}),
            )  # fmt: skip
    elif waiting:
        due(f"{', '.join(waiting)} must log in again to get the group docker")
    else:
        holds(f"{', '.join(users)} in the group docker" if users else "rig_users is empty")
