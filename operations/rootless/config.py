"""The daemon.json of a user's own Docker: what stands in it, and what their daemon uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.docker.daemon_json import DaemonFile
from gpurig.facts.rootless import RootlessScript, UserDaemonConfig, UserDockerInfo, acting_as
from gpurig.operations.rootless.unit import bringing
from gpurig.operations.rootless.user import account
from gpurig.operations.shared import daemon_json

CDI_DIRS = ("/etc/cdi", "/var/run/cdi")
# A rootless dockerd sees the folders only as links, which it does not enter; files it reads.
CDI_FILES = tuple(f"{folder}/nvidia.yaml" for folder in CDI_DIRS)


@keeps("rootless.{user}.daemon-config")
def daemon_config(user: str, keys: Mapping[str, Any], cdi_files: bool) -> Commands:
    """
    These keys stand in the daemon.json of the user's own Docker, beside what they have there.

    + user: their name; keys: as `operations.docker.daemon_config` takes them
    + cdi_files: whether this Docker must be switched to CDI, and may have to be led to the specs
    """
    file, goal = _config(user, keys, cdi_files)
    differing = daemon_json.differences(file["config"], goal)
    if not differing:
        return holds(f"{_shown(user)} has {', '.join(goal)}" if goal else "no keys are needed")
    if file["lossy"]:
        ends_unknown(f"{_shown(user)}: {file['lossy']}; gpurig would lose the rest")
    drift(
        actual=", ".join(is_ for _, is_, _ in differing),
        wanted=", ".join(should for _, _, should in differing),
        will=f"write {', '.join(key for key, _, _ in differing)} into {_shown(user)}",
        leaves="every other key" if file["config"] else "",
    )
    config = daemon_json.merged(file["config"], goal)
    text = json.dumps(config, indent=file["indent"], ensure_ascii=False) + "\n"
    staged = f"{_PRIVATE}/daemon-{user}.json"  # it may hold a proxy's password
    yield StringCommand(f"mkdir -p -m 755 /run/gpurig && install -d -m 700 {_PRIVATE}")
    yield FileUploadCommand(BytesIO(text.encode()), staged)
    # Its owner writes it: what is a link in a home may lead anywhere.
    yield StringCommand(
        acting_as(user), f"as_user sh -c '{_WRITE}' sh \"$h/.config/docker/daemon.json\"",
        f"< {staged}; e=$?; rm -f {staged}; exit $e",
    )  # fmt: skip


_PRIVATE = "/run/gpurig/private"
_WRITE = (
    'set -e; mkdir -p -- "${1%/*}"; f=$(readlink -f -- "$1"); new=$f.gpurig-new; umask 077;'
    ' [ ! -e "$f" ] || cp -p -- "$f" "$new"; cat > "$new";'
    ' [ -e "$f" ] || chmod 644 -- "$new"; mv -f -- "$new" "$f"'
)


@keeps("rootless.{user}.running-config")
def running_config(user: str, keys: Mapping[str, Any], cdi_files: bool) -> Commands:
    """
    The user's daemon that runs uses these keys of its daemon.json.

    + user, keys, cdi_files: as `daemon_config` got them

    What else the user wrote there is theirs to take up. It is restarted while none of its
    containers runs.
    """
    file, goal = _config(user, keys, cdi_files)
    if daemon_json.differences(file["config"], goal):
        return follows(f"rootless.{user}.daemon-config")
    daemon = known(UserDockerInfo, user=user)
    if daemon is ABSENT:
        return follows(f"rootless.{user}.service")
    told = daemon_json.untaken(file["config"], daemon, flags=())
    asked = {key: f"{key} {value}" for key, value in told.items() if key in goal}
    if set(goal.get("cdi-spec-dirs", ())) - set(daemon["cdi_spec_dirs"]):
        asked["cdi-spec-dirs"] = "other cdi-spec-dirs"
    if not asked:
        return holds(f"the daemon of {user} uses {_shown(user)}")
    actual = f"the daemon uses {', '.join(asked.values())}"
    if daemon["containers_running"]:
        return due(
            f"{actual}; a restart would stop {daemon['containers_running']} of"
            f" {user}'s containers. When they may stop, {user} runs"
            " systemctl --user restart docker.service"
        )
    drift(actual, wanted=f"uses {_shown(user)}", will=f"restart the Docker of {user}")
    # A container that was started since is not stopped for this: the next look says it is due.
    yield StringCommand(
        acting_as(user), '[ -n "$(as_user docker --host "unix:///run/user/$i/docker.sock"',
        'ps --quiet)" ] || { as_user systemctl --user reset-failed docker.service 2>/dev/null;',
        "as_user systemctl --user restart docker.service; }",
    )  # fmt: skip


def _shown(user: str) -> str:
    return f"~{user}/.config/docker/daemon.json"


def _config(
    user: str, keys: Mapping[str, Any], cdi_files: bool
) -> tuple[DaemonFile, dict[str, Any]]:
    """
    The user's daemon.json and the keys that it should have; the operation ends where it must wait.

    Where dockerd-rootless.sh does not show the daemon the CDI folders, the specs are named one by
    one, after what the user has named.
    """
    account(user)
    script, file = known(RootlessScript), read(UserDaemonConfig, user=user)
    if isinstance(file, Unknown):
        ends_unknown(f"{_shown(user)}: {file.reason}; gpurig leaves it as it is")
    if script is ABSENT:
        follows(bringing())
        raise Ended
    if file is ABSENT:
        file = DaemonFile(path="", config={}, indent="    ", changed=0.0, lossy="")
    goal = dict(keys)
    if cdi_files and not script["shows_cdi"]:
        there = file["config"].get("cdi-spec-dirs", [])
        if not isinstance(there, list):
            ends_unknown(f"{_shown(user)}: its cdi-spec-dirs is not a list")
        missing = [one for one in (*CDI_DIRS, *CDI_FILES) if one not in there]
        goal["cdi-spec-dirs"] = [*there, *missing]
    return file, goal
