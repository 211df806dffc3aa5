"""Docker: installed, running, configured, and running with that configuration."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known, sure
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.daemon_json import (
    DAEMON_JSON,
    RECORD,
    THIS_DAEMON,
    ConfigRead,
    DaemonConfig,
    DaemonFile,
    DaemonFlags,
)
from gpurig.facts.docker.engine import (
    DOCKER,
    Daemon,
    DockerClient,
    DockerInfo,
    DockerInstalled,
    RestartPolicies,
)
from gpurig.facts.host.systemd import Unit, Units
from gpurig.operations.shared import daemon_json
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT
from gpurig.operations.shared.daemon_json import Change
from gpurig.operations.shared.file import written
from gpurig.operations.shared.made import noted, notes
from gpurig.operations.shared.packages import installed
from gpurig.operations.shared.systemd import lacking, masked, masked_by_hand, running, told_masked

UNITS = ("docker.socket", "docker.service")


@keeps("docker.packages")
def packages(packages: Sequence[str]) -> Commands:
    """
    Docker is installed; a packaging that is there already stays, as its data would not follow.

    + packages: what to install where there is none
    """
    found, client = known(DockerInstalled), read(DockerClient)
    if found is not ABSENT and client is ABSENT:
        if "docker-cli" not in packages or found["package"] not in packages:
            # The command is part of the daemon's package: mending it would restart the daemon.
            return unknown(f"{found['package']} is installed, but the host has no command docker")
        drift(
            "the host has no command docker",
            "the command docker is installed",
            "install docker-cli again",
        )
        yield StringCommand(f"{ENVIRONMENT} {APT} install --reinstall docker-cli")
    elif found is not ABSENT and found["package"] not in packages:
        holds(f"{found['package']} {found['version']} is installed")
    else:
        yield from installed(packages)


@keeps("docker.service")
def service(unmask: bool = True) -> Commands:
    """
    Docker runs now and after every boot, and so does its socket.

    + unmask: also where somebody masked a unit, who then did not want Docker to run
    """
    if known(DockerInstalled) is ABSENT:
        return follows("docker.packages")
    units = known(Units, units=" ".join(UNITS))
    if units is ABSENT:
        return unknown("systemd is not running here, so Docker cannot start")
    # Packagings without socket activation have only the service.
    units = {name: unit for name, unit in units.items() if unit["load"] != "not-found"}
    if UNITS[1] not in units:
        return unknown("the host has no docker.service")
    wrong, hidden = lacking(units), masked(units)
    if not wrong:
        return holds("docker.service is enabled and active")
    if hidden and not unmask:
        return due(told_masked(hidden, "docker"))
    file = usable(DAEMON_JSON)
    if isinstance(file, Unknown) and units[UNITS[1]]["active"] != "active":
        return unknown(f"{', '.join(wrong)}; Docker cannot start: {file.reason}")
    drift(
        actual=", ".join(wrong),
        wanted="docker.service is enabled and active",
        will=_will(units, hidden),
    )
    yield from running(units, list(units))


def _will(units: Mapping[str, Unit], hidden: list[str]) -> str:
    if not lacking({name: unit | {"stale": False} for name, unit in units.items()}):
        return "run systemctl daemon-reload"
    return f"unmask {hidden}, enable and start it" if hidden else "enable and start it"


@keeps("docker.daemon-config")
def daemon_config(keys: Mapping[str, Any], path: str = DAEMON_JSON) -> Commands:
    """
    These keys stand in Docker's daemon.json, beside whatever else the user has there.

    + keys: merged into the file: objects key by key, anything else as a whole
    + path: the file; a link is followed and stays a link
    """
    known(DockerInstalled)
    file = usable(path, keys)
    if isinstance(file, Unknown):
        return unknown(f"{file.reason}; gpurig leaves it as it is")
    differing = daemon_json.differences(file["config"], keys)
    if not differing:
        return holds(f"{path} has {', '.join(keys)}" if keys else "no keys are needed")
    if file["lossy"]:
        return unknown(f"{file['path']}: {file['lossy']}; gpurig would lose the rest")
    drift(
        actual=", ".join(is_ for _, is_, _ in differing),
        wanted=", ".join(should for _, _, should in differing),
        will=f"write {', '.join(key for key, _, _ in differing)} into {file['path']}",
        leaves="every other key" if file["config"] else "",
    )
    yield from _remembered(file)
    config = daemon_json.merged(file["config"], keys)
    text = json.dumps(config, indent=file["indent"], ensure_ascii=False) + "\n"
    *staging, rename = written(file["path"], text, mode=None)
    yield from staging
    yield StringCommand(VALID, QuoteString(f"{file['path']}.gpurig-new"))
    yield rename
    if entries := notes(file, config):
        yield StringCommand(noted(*entries))


# dockerd itself says whether it would start with the new text; before 23.0 it cannot be asked.
VALID = (
    "valid() { dockerd --help 2>/dev/null | grep -q -- --validate || return 0;"
    ' dockerd --validate --config-file="$1" || { rm -f "$1"; return 1; }; }; valid'
)


@keeps("docker.running-config")
def running_config(
    keys: Mapping[str, Any], path: str = DAEMON_JSON, restart: bool = False, unmask: bool = True
) -> Commands:
    """
    The daemon that runs uses what daemon.json says.

    + keys, path: as `daemon_config` got them; unmask: as `service` got it
    + restart: also where a restart stops containers, which otherwise is due

    A reload does where dockerd takes the keys on SIGHUP; a restart only while no container runs,
    where live-restore keeps containers alive over it, or where it is asked for.
    """
    docker, file = known(DockerInstalled), sure(usable(path, keys))
    if docker is ABSENT or read(DockerClient) is ABSENT:
        return follows("docker.packages")
    if daemon_json.differences(file["config"], keys):
        return follows("docker.daemon-config")
    yield from taken_up(file, _answering(unmask), path, restart)


def taken_up(file: DaemonFile, daemon: Daemon, path: str, restart: bool) -> Commands:
    """
    State whether the running daemon uses its file, and bring that about as far as may be.

    For use inside an operation that `keeps` a promise; restart: as `running_config` got it.
    """
    change = _change(file, daemon)
    if not change.asked:
        return holds(f"the daemon uses {path}")
    stops = stopping() if change.stops_containers(restart) else ""
    if stops and not restart:
        return due(f"{change.told}; `up --restart-docker` restarts Docker and stops {stops}")
    if change.by_reload(restart):
        yield from _reloaded(change, path)
    else:
        yield from _restarted(change, path, restart, stops)


def _answering(unmask: bool) -> Daemon:
    """What the running daemon says; where none runs, the operation ends in what it waits for."""
    daemon, units = known(DockerInfo), read(Units, units=" ".join(UNITS))
    if not isinstance(daemon, Absent):
        if isinstance(units, dict) and any(unit["stale"] for unit in units.values()):
            follows("docker.service")
            raise Ended
        return daemon
    if not unmask and (hidden := masked_by_hand(*UNITS)):
        due(told_masked(hidden, "docker"))
    else:
        follows("docker.service")
    raise Ended


def _change(file: DaemonFile, daemon: Daemon) -> Change:
    flags, when = known(DaemonFlags), known(ConfigRead)
    if when is ABSENT:
        ends_unknown("when dockerd read its configuration is not known")
    return Change(file, daemon, {} if flags is ABSENT else flags, when)


def _reloaded(change: Change, path: str) -> Commands:
    drift(change.told, wanted=f"uses {path}", will="reload Docker", leaves="all containers running")
    yield StringCommand(_RELOAD)
    yield StringCommand(_record(change.confirmed_by_reload))


def _restarted(change: Change, path: str, restart: bool, stops: str) -> Commands:
    drift(
        change.told,
        wanted=f"uses {path}",
        will=f"restart Docker and stop {stops}" if stops else "restart Docker",
        leaves="the containers running (live-restore)" if change.kept_alive else "",
    )
    if change.kept_alive and not change.daemon["live_restore"]:
        yield StringCommand(_RELOAD)
    record = _record(daemon_json.untold(change.file["config"]))
    yield restarted(whatever_runs=change.outlived or restart, then=record)


def stopping() -> str:
    """The running containers that a restart of Docker stops, in words."""
    policies = known(RestartPolicies)
    return daemon_json.stopped({} if policies is ABSENT else policies)


def restarted(whatever_runs: bool, then: str = "") -> StringCommand:
    """
    The command that restarts Docker.

    + whatever_runs: also while a container runs; one that was started since the plan is else not
      stopped for this, and the next look says that it is due
    + then: shell that follows if it starts
    """
    quiet = "" if whatever_runs else f'[ -n "$({DOCKER} ps --quiet)" ] || '
    # systemd refuses a third start in a minute unless it is told to count anew.
    # A run that was killed may have left systemd with the unit as it was before.
    again = (
        "systemctl daemon-reload; systemctl reset-failed docker.service;"
        " systemctl restart docker.service"
    )
    return StringCommand(f"{quiet}{{ {again}{f' && {then}' if then else ''}; }}")


# dockerd takes SIGHUP without an answer; an event says when the new configuration is in effect.
_RELOAD = (
    "since=$(date +%s.%N); systemctl reload docker.service || exit 1; n=0;"
    f' until {DOCKER} events --since "$since" --until "$(date +%s.%N)" --filter type=daemon'
    " --filter event=reload --format taken | grep -q taken; do n=$((n + 1));"
    ' [ $n -lt 50 ] || { echo "Docker refused its configuration: journalctl -u docker" >&2;'
    " exit 1; }; sleep 0.2; done"
)


def _record(hashes: Mapping[str, str]) -> str:
    """Shell that notes which values this very daemon has in effect."""
    lines = " ".join(shlex.quote(f"{value} {key}") for key, value in sorted(hashes.items()))
    return (
        f"mkdir -p {RECORD.rpartition('/')[0]} &&"
        f" printf '%s\\n' \"{THIS_DAEMON}\" {lines} > {RECORD}.new && mv -f {RECORD}.new {RECORD}"
    )


def _remembered(file: DaemonFile) -> Commands:
    """
    Before the file changes: what of it the daemon is known to use.

    The clocks can say that only until the change; later nobody could tell these keys from new
    ones, and a restart would seem to be due for them.
    """
    daemon, known = read(DockerInfo), read(ConfigRead)
    if not isinstance(daemon, dict) or not isinstance(known, dict) or known["confirmed"]:
        return
    hashes = daemon_json.untold(file["config"])
    if not daemon_json.unconfirmed(file["config"], file["changed"], known):
        yield StringCommand(_record(hashes))


def usable(path: str, keys: Mapping[str, Any] | None = None) -> DaemonFile | Unknown:
    """The daemon.json with which dockerd can start, also once it has these keys; or why not."""
    found, flags = read(DaemonConfig, path=path), read(DaemonFlags)
    if isinstance(found, Unknown):
        return Unknown(f"{path}: {found.reason}")
    if isinstance(flags, Unknown):
        return Unknown(f"flags of docker.service: {flags.reason}")
    if isinstance(found, Absent):
        found = DaemonFile(path=path, config={}, indent="    ", changed=0.0, lossy="")
    for key in _named(found["config"]) | _named(keys or {}):
        # dockerd adds up the runtimes of both places
        if isinstance(flags, dict) and key in flags and key != "runtimes":
            return Unknown(
                f"{key} is in {path} and also a flag in {flags[key]};"
                " dockerd does not start with both"
                if key in _named(found["config"])
                else f"rig_docker_daemon sets {key}, which is also a flag in"
                f" {flags[key]}; remove the flag"
            )
    return found


def _named(config: Mapping[str, Any]) -> dict[str, None]:
    """The keys as dockerd compares them with its flags, in order: a proxy's stand one deeper."""
    proxies = config.get("proxies")
    return dict.fromkeys([*config, *(proxies if isinstance(proxies, Mapping) else ())])
