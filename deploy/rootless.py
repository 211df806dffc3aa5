"""Docker without root, one for each user."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.operations import rootless as operations
from gpurig.operations.shared import packages
from gpurig.operations.shared.daemon_json import wanted
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Rootless Docker")
def rootless(stack: Stack, settings: Settings) -> None:
    """
    What it stands on; then for each user ids, daemon.json, service, and the context of it.

    rig_docker_daemon is the system's: a data-root or an address there fits one daemon only.
    """
    if stack.docker is None or stack.rootless is None:
        return
    nvidia = stack.container_toolkit is not None
    cdi = nvidia and stack.docker.cdi_feature
    keys = wanted({}, nvidia=nvidia, cdi=cdi)
    packages.packages(layer="rootless", packages=stack.rootless.packages)
    operations.unit()
    if nvidia:
        operations.cdi_folder()
    for user in settings.users:
        operations.ids(user=user)
        operations.daemon_config(user=user, keys=keys, cdi_files=cdi)
        operations.service(user=user)
        operations.running_config(user=user, keys=keys, cdi_files=cdi)
        operations.context(user=user)
