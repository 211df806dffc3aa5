"""The users of the workstation."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.contract.promise import left_out
from gpurig.operations.users import docker_context
from gpurig.operations.users import docker_group as operations
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Users")
def users(stack: Stack, settings: Settings) -> None:
    """Let the given users use Docker, where there is Docker, and name who uses another one."""
    if stack.rootless is not None:
        left_out("users.docker-group", "rig_docker_rootless gives each user their own Docker")
    elif stack.docker is not None and settings.users:
        operations.docker_group(users=settings.users)
        docker_context.contexts(users=settings.users)
