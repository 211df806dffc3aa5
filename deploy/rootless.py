"""Docker without root, one for each user."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.operations.rootless import config, unit, user
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
    packages.packages(promise="rootless.packages", packages=stack.rootless.packages)
    unit.unit()
    if nvidia:
        unit.cdi_folder()
    for name in settings.users:
        user.ids(user=name)
        config.daemon_config(user=name, keys=keys, cdi_files=cdi)
        user.service(user=name)
        config.running_config(user=name, keys=keys, cdi_files=cdi)
        user.context(user=name)
