"""dockerd's proxy: a drop-in of our own, whose address stands where only root can read it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.daemon_json import DAEMON_JSON
from gpurig.facts.docker.engine import DOCKER, DockerInfo, DockerInstalled, RestartPolicies
from gpurig.facts.docker.proxy import DROP_IN, MARK, SECRET, DockerProxy, Proxy
from gpurig.operations.docker.engine import usable
from gpurig.operations.shared.daemon_json import stopped
from gpurig.operations.shared.file import written

Commands = Generator[StringCommand | FileUploadCommand, None, None]

# `systemctl show` tells everybody the values of Environment=, of EnvironmentFile= only the name.
_UNIT = f"""\
# Written by gpurig from rig_proxy; it writes it anew when it differs.
[Service]
EnvironmentFile={SECRET}
"""


@keeps("docker.proxy")
def proxy(url: str | None) -> Commands:
    """
    dockerd is given this proxy at its next start, unless the user gives it one.

    + url: it may hold a password; ``None``: no proxy of ours
    """
    found = _found()
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if isinstance(found, Absent):
        return follows("docker.packages") if url else holds("no proxy is asked for")
    ours = bool(found["drop_in"] or found["secret"])
    if not url or found["theirs"]:
        by = f"{' and '.join(found['theirs'])} gives dockerd its proxy" if found["theirs"] else ""
        if not ours:
            return holds(by or "no proxy is asked for")
        drift(
            actual=f"{DROP_IN} is there",
            wanted=by or "no proxy is asked for",
            will="remove it",
            leaves=" and ".join(found["theirs"]),
        )
        yield StringCommand(f"rm -f {DROP_IN} {SECRET} && systemctl daemon-reload")
        return
    text = _environment(url)
    secret = found["secret"] == _digest(text) and found["access"] == "600 root:root"
    if secret and found["drop_in"] == _UNIT:
        return holds("it stands in a drop-in of gpurig's")
    drift(
        actual="differs" if ours else "dockerd is given no proxy",
        wanted="the proxy of rig_proxy",
        will=f"write {SECRET} for root alone, and {DROP_IN}",
        leaves="every other drop-in",
    )
    if not secret:
        yield StringCommand(_private_folder())
        yield from written(SECRET, text, mode="600")
    yield from written(DROP_IN, _UNIT)
    yield StringCommand("systemctl daemon-reload")


@keeps("docker.running-proxy")
def running_proxy(url: str | None, restart: bool = False) -> Commands:
    """
    The daemon that runs was started with that proxy, or without ours where it is gone.

    + url: as `proxy` got it; restart: also where that stops containers, which otherwise is due

    dockerd reads its environment at a start only. A restart while no container runs, or where it is
    asked for; else it is due. It takes daemon.json as well, so that one must be usable.
    """
    found = _found()
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if isinstance(found, Absent):
        return follows("docker.packages") if url else holds("no proxy is asked for")
    ours = bool(url) and not found["theirs"]
    if ours and (found["drop_in"] != _UNIT or found["secret"] != _digest(_environment(url or ""))):
        return follows("docker.proxy")
    if not ours and (found["drop_in"] or found["secret"]):
        return follows("docker.proxy")
    if not found["pid"]:
        return holds("no daemon runs; the next one takes what stands in the files")
    if ours and found["running"] == _digest(_lines(url or "")):
        return holds("the daemon has it")
    if not ours and not found["marked"]:
        return holds("the daemon has the user's" if found["theirs"] else "none of gpurig's")
    daemon = read(DockerInfo)
    if isinstance(daemon, Unknown):
        return unknown(daemon.reason)
    if isinstance(daemon, Absent):
        return follows("docker.service")
    file = usable(DAEMON_JSON)
    if isinstance(file, Unknown):
        return unknown(f"Docker cannot be restarted: {file.reason}")
    actual = f"the daemon {'lacks the proxy' if ours else 'still has the proxy of rig_proxy'}"
    if daemon["containers_running"] and not restart:
        policies = read(RestartPolicies)
        if isinstance(policies, Unknown):
            return unknown(policies.reason)
        running = stopped({} if policies is ABSENT else policies)
        return due(f"{actual}: `up --restart-docker` restarts Docker, with {running}")
    drift(
        actual,
        wanted="the daemon uses the proxy of rig_proxy" if ours else "none of gpurig's",
        will="restart Docker",
    )
    # A container that was started since is not stopped for this: the next look says it is due.
    quiet = "" if restart else f'[ -n "$({DOCKER} ps --quiet)" ] || '
    # A run that was killed may have left systemd with the unit as it was before.
    again = (
        "systemctl daemon-reload; systemctl reset-failed docker.service;"
        " systemctl restart docker.service"
    )
    yield StringCommand(f"{quiet}{{ {again}; }}")


def _found() -> Proxy | Absent | Unknown:
    docker = read(DockerInstalled)
    if docker is ABSENT or isinstance(docker, Unknown):
        return docker if isinstance(docker, Unknown) else ABSENT
    return read(DockerProxy)


def _environment(url: str) -> str:
    """The file: systemd takes what is between single quotes as it is, and no URL here has any."""
    return f"{MARK}=1\n" + "".join(f"{name}='{url}'\n" for name in ("HTTPS_PROXY", "HTTP_PROXY"))


def _lines(url: str) -> str:
    """As `sort` puts the two variables of a process in order."""
    return "".join(f"{line}\n" for line in sorted((f"HTTPS_PROXY={url}", f"HTTP_PROXY={url}")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _private_folder() -> str:
    """The folder, and the staged file for root alone before anything is in it."""
    staged = f"{SECRET}.gpurig-new"
    folder = SECRET.rpartition("/")[0]
    return f"mkdir -p {folder} && rm -f {staged} && (umask 077 && : > {staged})"
