"""Docker, with the NVIDIA runtime where there are GPUs."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.deploy.repositories import repository
from gpurig.operations.docker import engine as operations
from gpurig.operations.docker import proxy, socket, source
from gpurig.operations.shared import daemon_json
from gpurig.settings.options import Options
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Docker")
def docker(stack: Stack, settings: Settings, options: Options) -> None:
    """
    Install Docker, write its daemon.json, run it, and let it take what is written.

    The package starts the daemon before its file is there; dockerd must be installed to check the
    file, and a restart of a fresh daemon takes half a second.
    """
    if stack.docker is None:
        return
    keys = daemon_json.wanted(
        settings.docker_daemon,
        nvidia=stack.container_toolkit is not None,
        cdi=stack.container_toolkit is not None and stack.docker.cdi_feature,
    )
    if wanted := stack.docker.repository:
        repository(stack, wanted, keyring="docker.keyring", promise="docker.repository")
    if settings.docker_source != "auto":
        source.source(source=stack.docker.source, packages=stack.docker.packages)
    operations.packages(packages=stack.docker.packages)
    operations.daemon_config(keys=keys)
    proxy.proxy(url=settings.proxy)
    unmask, restart = "docker" in settings.components, options.restart_docker
    operations.service(unmask=unmask)
    operations.running_config(keys=keys, restart=restart, unmask=unmask)
    proxy.running_proxy(url=settings.proxy, restart=restart)
    socket.socket()
