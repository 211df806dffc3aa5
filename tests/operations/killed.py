"""A run of Docker's operations in a process of its own, which SIGKILL ends at its n-th command."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

from gpurig.engine.runner import Link, prepare_engine
from gpurig.hosts.connector import reading_fact
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.ssh import SSHTransport
from gpurig.operations.docker import engine as docker
from gpurig.operations.packages import dpkg
from lab.hosts import Host

BEFORE, AFTER = "before it is sent", "after it was sent"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["gpurig.engine.runner", "gpurig.operations.docker.engine"]
)  # once for all runs


def docker_run(packages: tuple[str, ...], keys: dict[str, Any], restart: bool = False) -> None:
    """Docker's operations in the order of the deploys."""
    dpkg.whole()
    docker.packages(packages=packages)
    docker.daemon_config(keys=keys)
    docker.service()
    docker.running_config(keys=keys, restart=restart)


def killed(host: Host, arguments: tuple[Any, ...], nth: int, when: str) -> bool:
    """
    Run `docker_run` on the host, and kill the process that runs it at its n-th command.

    + arguments: of `docker_run`; nth: from 1, commands that change something and uploads
    + when: ``BEFORE`` or ``AFTER``; the connection breaks with the process

    True when it was killed; False when the run ended before, as it had fewer commands.
    """
    process = _FORKS.Process(target=_run, args=(host.name, host.ssh_data(), arguments, nth, when))
    process.start()
    process.join(600)
    code = process.exitcode
    assert code in (0, -signal.SIGKILL), f"the run ended with {code}"
    return code != 0


def _run(name: str, data: dict[str, str], arguments: tuple[Any, ...], nth: int, when: str) -> None:
    prepare_engine()
    link = Link(HostSpec.of(name, "ssh", data["ssh_hostname"], data))
    link.open()
    sent, start = 0, SSHTransport._start

    def counted(transport: SSHTransport, line: str) -> Any:
        nonlocal sent
        if reading_fact.get():
            return start(transport, line)
        sent += 1
        if (sent, when) == (nth, BEFORE):
            os.kill(os.getpid(), signal.SIGKILL)
        started = start(transport, line)
        if (sent, when) == (nth, AFTER):
            os.kill(os.getpid(), signal.SIGKILL)
        return started

    SSHTransport._start = counted  # type: ignore[method-assign]  # counts, then does it
    link.apply(lambda: docker_run(*arguments))
    link.close()
