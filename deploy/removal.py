"""What `gpurig remove` takes away, from what stands on top to what it stands on."""

from __future__ import annotations

from pyinfra import host

from gpurig.contract.layer import layer
from gpurig.operations.docker import proxy
from gpurig.operations.environments import jupyter
from gpurig.operations.removal import docker, files, folders, packages, rootless
from gpurig.settings.checks import validate
from gpurig.settings.options import DEFAULTS, LAYERS, Options
from gpurig.settings.programs import own_programs


@layer("Removal")
def removal(options: Options = DEFAULTS) -> None:
    """Images and Docker's settings, environments, files of the system, packages, records."""
    settings, restart = validate(host.data.dict(), where=host.name), options.restart_docker
    docker.images()
    rootless_users = settings.users if settings.docker_rootless else ()
    for name in rootless_users:
        rootless.rootless(user=name, restart=restart)
    files.rootless_unit(users=rootless_users)
    docker.group(users=settings.users)
    docker.daemon_keys()
    docker.running(restart=restart)
    proxy.proxy(url=None)
    proxy.running_proxy(url=None, restart=restart)
    jupyter.kernels(venv_root=settings.venv_root, wanted={})
    folders.environments(root=settings.venv_root)
    folders.tools(root=settings.venv_root)
    folders.workloads(programs=own_programs(settings))
    folders.data()
    folders.user()
    files.package_sources()
    files.system_files()
    files.host_name()
    for name in LAYERS:
        packages.packages(layer=name, named=name in options.packages)
    files.blacklist(driver="driver" in options.packages)
    folders.records(root=settings.venv_root)
