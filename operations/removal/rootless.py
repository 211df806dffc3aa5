"""The Docker of a user's own, as far as it runs by gpurig's unit."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, due, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.rootless import (
    RootlessOwner,
    RootlessUnit,
    UserContexts,
    UserDockerInfo,
    acting_as,
)
from gpurig.operations.removal.said import goes
from gpurig.operations.rootless.unit import MARK


@keeps("removal.rootless.{user}")
def rootless(user: str, restart: bool) -> Commands:
    """
    The user's Docker that runs by gpurig's unit is stopped, and nothing starts it again.

    + user: their name; restart: also while their containers run, which otherwise is due

    Images, subordinate ids, lingering and their daemon.json stay: they may be the user's own.
    """
    text, owner = known(RootlessUnit), known(RootlessOwner, user=user)
    if text is ABSENT or not text.startswith(MARK) or owner is ABSENT:
        return holds("none")
    on = owner["enabled"] == "enabled" or owner["active"] == "active"
    daemon = known(UserDockerInfo, user=user)
    if on and daemon is not ABSENT and daemon["containers_running"] and not restart:
        return due(
            f"{daemon['containers_running']} containers of {user} run; end them first, or use"
            " --restart-docker"
        )
    contexts = known(UserContexts, user=user)
    theirs = contexts is not ABSENT and contexts["current"] == "rootless"
    ours = [f"the docker.service of {user}"] * on + [f"the context rootless of {user}"] * theirs
    stays = [f"images, subordinate ids, lingering and daemon.json of {user}"] if ours else []
    if not goes(f"removal.rootless.{user}", ours, stays, f"stop and disable the Docker of {user}"):
        return
    if theirs:
        yield StringCommand(
            acting_as(user), "as_user docker context use default >/dev/null &&",
            "as_user docker context rm rootless >/dev/null",
        )  # fmt: skip
    if on:
        yield StringCommand(
            acting_as(user), "as_user systemctl --user disable --now docker.service"
        )
