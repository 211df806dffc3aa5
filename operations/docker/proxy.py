"""dockerd's proxy: a drop-in of our own, whose address stands where only root can read it."""

from __future__ import annotations

import hashlib

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.docker.daemon_json import DAEMON_JSON
from gpurig.facts.docker.engine import DockerInfo, DockerInstalled
from gpurig.facts.docker.proxy import DROP_IN, MARK, SECRET, DockerProxy, Proxy
from gpurig.operations.docker.engine import restarted, stopping, usable
from gpurig.operations.shared.file import written
from gpurig.operations.shared.words import those

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
    found = _found(url)
    there = bool(found["drop_in"] or found["secret"])
    if not _is_ours(found, url):
        theirs = " and ".join(found["theirs"])
        by = f"{theirs} sets dockerd's proxy" if theirs else "gpurig sets no proxy"
        if not there:
            return holds(by)
        drift(actual=f"{DROP_IN} exists", wanted=by, will="remove it", leaves=theirs)
        folders = " ".join(path.rpartition("/")[0] for path in (DROP_IN, SECRET))
        yield StringCommand(
            f'rm -f {DROP_IN} {SECRET} && for d in {folders}; do [ ! -d "$d" ] ||'
            ' rmdir --ignore-fail-on-non-empty "$d"; done && systemctl daemon-reload'
        )
        return
    text = _environment(url or "")
    secret = found["secret"] == _digest(text) and found["access"] == "600 root:root"
    if secret and found["drop_in"] == _UNIT:
        return holds("gpurig's drop-in sets it")
    drift(
        actual=_wrong(found, text),
        wanted="the proxy of rig_proxy",
        will=f"write {SECRET} (readable only by root) and {DROP_IN}",
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
    found = _found(url)
    if not _in_place(found, url):
        return follows("docker.proxy")
    if right := _right(found, url):
        return holds(right)
    daemon = known(DockerInfo)
    if daemon is ABSENT:
        return follows("docker.service")
    file = usable(DAEMON_JSON)
    if isinstance(file, Unknown):
        return unknown(f"gpurig cannot restart Docker: {file.reason}")
    ours = _is_ours(found, url)
    actual = f"the daemon {'lacks the proxy' if ours else 'still has the proxy of rig_proxy'}"
    if daemon["containers_running"] and not restart:
        return due(f"{actual}; `up --restart-docker` restarts Docker and stops {stopping()}")
    drift(
        actual,
        wanted="the daemon uses the proxy of rig_proxy"
        if ours
        else "the daemon uses no proxy of gpurig",
        will="restart Docker",
    )
    yield restarted(whatever_runs=restart)


def _found(url: str | None) -> Proxy:
    """How dockerd gets its proxy; without Docker the operation ends."""
    if known(DockerInstalled) is not ABSENT:
        found = known(DockerProxy)
        if found is not ABSENT:
            return found
    if url:
        follows("docker.packages")
    else:
        holds("gpurig sets no proxy")
    raise Ended


def _is_ours(found: Proxy, url: str | None) -> bool:
    """Whether dockerd is to be given a proxy by gpurig: the user's own comes first."""
    return bool(url) and not found["theirs"]


def _wrong(found: Proxy, text: str) -> str:
    """What is not as gpurig writes it; text: of its file with the address."""
    if not (found["drop_in"] or found["secret"]):
        return "dockerd gets no proxy"
    mode, _, owner = found["access"].partition(" ")
    closed = not found["secret"] or found["access"] == "600 root:root"
    return ", ".join(
        those(
            {
                f"no {SECRET}": not found["secret"],
                f"{SECRET} differs": found["secret"] and found["secret"] != _digest(text),
                f"{SECRET} has owner {owner}, mode {mode}": not closed,
                f"no {DROP_IN}": not found["drop_in"],
                f"{DROP_IN} differs": found["drop_in"] and found["drop_in"] != _UNIT,
            }
        )
    )


def _in_place(found: Proxy, url: str | None) -> bool:
    """Whether the files are as `proxy` makes them, so that a restart takes them up."""
    if not _is_ours(found, url):
        return not (found["drop_in"] or found["secret"])
    return found["drop_in"] == _UNIT and found["secret"] == _digest(_environment(url or ""))


def _right(found: Proxy, url: str | None) -> str:
    """Why the daemon that runs needs no restart, in words; empty where it needs one."""
    if not found["pid"]:
        return "no daemon is running; the next one reads the files"
    if _is_ours(found, url):
        return "the daemon uses it" if found["running"] == _digest(_lines(url or "")) else ""
    if found["marked"]:
        return ""
    return (
        "the daemon uses the user's proxy"
        if found["theirs"]
        else "the daemon uses no proxy of gpurig"
    )


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
