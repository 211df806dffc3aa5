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
        return holds("they talk to the system's daemon")
    left_out("users.docker-context", "; ".join(map(_told, found)))
    yield from ()


def _told(one: Elsewhere) -> str:
    if one["kind"] == "context":
        back = f"{one['user']} goes back by docker context use default"
        return f"docker of {one['user']} talks to the context {one['what']}; {back}"
    back = f"{one['user']} goes back by removing that line"
    return f"docker of {one['user']} has {one['what']} in {one['file']}; {back}"
