"""Users whose ``docker`` talks to another daemon: named, and left to them."""

from __future__ import annotations

from collections.abc import Sequence

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, holds, keeps, left_out
from gpurig.contract.values import ABSENT
from gpurig.facts.users.docker_context import DockerContexts, Elsewhere


@keeps("users.docker-context")
def contexts(users: Sequence[str]) -> Commands:
    """
    The users' command ``docker`` talks to the system's daemon, as far as their files say.

    + users: their names

    Whoever has a rootless daemon or Docker Desktop wants it so: this is told with the way back, as
    left out, and never changed; it makes no run fail.
    """
    found = known(DockerContexts, users=" ".join(users))
    if found is ABSENT:
        return holds("the docker command of rig_users uses the system's daemon")
    left_out("users.docker-context", "; ".join(map(_told, found)))
    yield from ()


def _told(one: Elsewhere) -> str:
    if one["kind"] == "context":
        back = f"to go back, {one['user']} runs docker context use default"
        return f"the docker command of {one['user']} uses the context {one['what']}; {back}"
    back = f"to go back, {one['user']} removes that line"
    return f"{one['user']} has {one['what']} for the docker command in {one['file']}; {back}"
