"""Docker without root: a daemon of each user's own, which finds the host's GPUs."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from io import BytesIO
from typing import Any

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.daemon_json import DaemonFile
from gpurig.facts.docker.engine import DockerClient, DockerInstalled
from gpurig.facts.rootless import (
    UNIT,
    CdiFolder,
    Owner,
    RootlessOwner,
    RootlessScript,
    RootlessUnit,
    UserContexts,
    UserDaemonConfig,
    UserDockerInfo,
    acting_as,
)
from gpurig.operations.shared import daemon_json
from gpurig.operations.shared.file import written

Commands = Generator[StringCommand | FileUploadCommand, None, None]

IDS = 65536  # as many as an image may use; what Docker's documentation asks for
FOLDER_FILE = "/etc/tmpfiles.d/gpurig-cdi.conf"
CDI_DIRS = ("/etc/cdi", "/var/run/cdi")
# A rootless dockerd sees the folders only as links, which it does not enter; files it reads.
CDI_FILES = tuple(f"{folder}/nvidia.yaml" for folder in CDI_DIRS)
MARK = "# Written by gpurig for rig_docker_rootless."


# A rootless dockerd sees of /run what was there when it started, and lingering users' daemons may
# start before nvidia-cdi-refresh.service has made the folder.
@keeps("rootless.cdi-folder")
def cdi_folder() -> Commands:
    """The folder /run/cdi is there before any daemon of a user starts."""
    there = read(CdiFolder)
    if isinstance(there, Unknown):
        return unknown(there.reason)
    if there:
        return holds("/run/cdi is made at every boot")
    drift(
        actual="/run/cdi is made late, or not at all",
        wanted="there before any user's Docker starts",
        will=f"write {FOLDER_FILE} and make the folder",
    )
    yield from written(FOLDER_FILE, "d /run/cdi 0755 root root -\n")
    yield StringCommand("mkdir -p -m 755 /run/cdi")


def unit_text(script: str) -> str:
    """The unit of a user's dockerd, as dockerd-rootless-setuptool.sh writes it into homes."""
    folder = script.rpartition("/")[0]
    path = f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return f"""{MARK}
[Unit]
Description=Docker Application Container Engine (Rootless)
Documentation=https://docs.docker.com/go/rootless/
ConditionUser=!root
Wants=dbus.socket
After=dbus.socket

[Service]
Environment=PATH={path}
ExecStart={script}
ExecReload=/bin/kill -s HUP $MAINPID
Type=notify
NotifyAccess=all
Delegate=yes
KillMode=mixed
TimeoutSec=0
Restart=always
RestartSec=2
StartLimitBurst=3
StartLimitInterval=60s
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=default.target
"""


# Debian's copy of dockerd-rootless-setuptool.sh (26.1.5, tried) ends with an error, as it looks for
# the command docker beside itself; and a unit in each home would stay behind the packages.
@keeps("rootless.unit")
def unit() -> Commands:
    """systemd has a unit of a user's dockerd; one that somebody else wrote stays as it is."""
    script, text = read(RootlessScript), read(RootlessUnit)
    for fact in (script, text):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if script is ABSENT:
        return follows(_bringing())
    assert isinstance(script, dict)
    goal = unit_text(script["path"])
    if isinstance(text, str) and not text.startswith(MARK):
        return holds(f"{UNIT} is somebody else's, and stays")
    if text == goal:
        return holds(f"{UNIT} starts {script['path']}")
    drift(
        actual=f"no {UNIT}" if text is ABSENT else f"{UNIT} is another one",
        wanted=f"it starts {script['path']}",
        will=f"write {UNIT}",
        leaves="units in the homes of users, which come before it",
    )
    yield from written(UNIT, goal)


@keeps("rootless.{user}.ids")
def ids(user: str) -> Commands:
    """
    The user has subordinate ids, as which the users inside their containers run.

    + user: their name
    """
    owner = _owner(user)
    if isinstance(owner, Unknown):
        return unknown(owner.reason)
    has = {"subuids": owner["subuids"], "subgids": owner["subgids"]}
    few = [name for name, number in has.items() if number < IDS]
    if not few:
        return holds(f"{user} has {owner['subuids']} subordinate ids")
    drift(
        actual=", ".join(f"{has[name]} {name}" for name in few),
        wanted=f"{IDS} of each",
        will=f"give {user} a range that nobody has, in /etc/subuid and /etc/subgid",
        leaves="all other ranges",
    )
    for name in few:
        # Several ranges are mapped one after the other, so that a second one completes a short one.
        yield StringCommand(
            acting_as(user),
            "f=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: 'BEGIN { m = 100000 }",
            "$2 + $3 > m { m = $2 + $3 } END { print m }');",
            f'usermod --add-{name} "$f-$((f + {IDS - 1}))" -- "$u"',
        )


@keeps("rootless.{user}.daemon-config")
def daemon_config(user: str, keys: Mapping[str, Any], cdi_files: bool) -> Commands:
    """
    These keys stand in the daemon.json of the user's own Docker, beside what they have there.

    + user: their name; keys: as `operations.docker.daemon_config` takes them
    + cdi_files: whether this Docker must be switched to CDI, and may have to be led to the specs
    """
    file, goal = _config(user, keys, cdi_files)
    if isinstance(file, str):
        return follows(file)
    if isinstance(file, Unknown):
        return unknown(file.reason)
    differing = daemon_json.differences(file["config"], goal)
    if not differing:
        return holds(f"{_shown(user)} has {', '.join(goal)}" if goal else "nothing is asked of it")
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


@keeps("rootless.{user}.service")
def service(user: str) -> Commands:
    """
    The user's own Docker runs, now and from every boot on, without a login.

    + user: their name
    """
    owner, text = _owner(user), read(RootlessUnit)
    for fact in (owner, text):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert isinstance(owner, dict)
    if owner["load"] in ("", "not-found") and text is ABSENT:
        return follows("rootless.unit")
    if min(owner["subuids"], owner["subgids"]) < IDS:
        return follows(f"rootless.{user}.ids")
    if not owner["namespaces"]:
        return unknown(
            f"{user} may not make a user namespace here: see the sysctls user.max_user_namespaces"
            " and kernel.unprivileged_userns_clone"
        )
    if owner["load"] == "masked":
        return due(f"{user} has masked docker.service: systemctl --user unmask docker.service")
    wrong = [] if owner["lingers"] else [f"{user} does not linger"]
    wrong += [] if owner["enabled"] == "enabled" else ["docker.service is not enabled"]
    wrong += [] if owner["active"] == "active" else [f"it is {owner['active'] or 'not running'}"]
    wrong += ["its systemd has an older unit"] if owner["stale"] else []
    if not wrong:
        return holds(f"the docker.service of {user} is enabled and active")
    drift(
        actual=", ".join(wrong),
        wanted=f"the docker.service of {user} is enabled and active",
        will="reload their systemd, enable and start it, with lingering",
    )
    if not owner["lingers"]:
        yield StringCommand(acting_as(user), 'loginctl enable-linger "$u"')
    yield StringCommand(acting_as(user), _SYSTEMD_ANSWERS, "as_user systemctl --user daemon-reload")
    if owner["enabled"] != "enabled":
        yield StringCommand(acting_as(user), "as_user systemctl --user enable docker.service")
    if owner["active"] != "active":
        yield StringCommand(
            acting_as(user), "as_user systemctl --user reset-failed docker.service 2>/dev/null;",
            "as_user systemctl --user start docker.service ||",
            f'{{ echo "E: the Docker of $u does not start: {_WHY}" >&2; exit 1; }}',
        )  # fmt: skip


_WHY = "journalctl _UID=$i --unit=user@$i.service"

# enable-linger comes back before the user's systemd can be asked.
_SYSTEMD_ANSWERS = (
    "n=0; until as_user systemctl --user show-environment >/dev/null 2>&1; do n=$((n + 1));"
    ' [ $n -lt 100 ] || { echo "E: the systemd of $u does not answer" >&2; exit 1; };'
    " sleep 0.2; done;"
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
    if isinstance(file, str):
        return follows(file)
    if isinstance(file, Unknown):
        return unknown(file.reason)
    if daemon_json.differences(file["config"], goal):
        return follows(f"rootless.{user}.daemon-config")
    daemon = read(UserDockerInfo, user=user)
    if daemon is ABSENT:
        return follows(f"rootless.{user}.service")
    if isinstance(daemon, Unknown):
        return unknown(daemon.reason)
    assert isinstance(daemon, dict)
    told = daemon_json.untaken(file["config"], daemon, flags=())
    asked = {key: f"{key} {value}" for key, value in told.items() if key in goal}
    if set(goal.get("cdi-spec-dirs", ())) - set(daemon["cdi_spec_dirs"]):
        asked["cdi-spec-dirs"] = "other cdi-spec-dirs"
    if not asked:
        return holds(f"the daemon of {user} uses {_shown(user)}")
    actual = f"the daemon uses {', '.join(asked.values())}"
    if daemon["containers_running"]:
        return due(
            f"{actual}: it must be restarted, and {daemon['containers_running']} of {user}'s"
            " containers would stop: systemctl --user restart docker.service"
        )
    drift(actual, wanted=f"uses {_shown(user)}", will=f"restart the Docker of {user}")
    # A container that was started since is not stopped for this: the next look says it is due.
    yield StringCommand(
        acting_as(user), '[ -n "$(as_user docker --host "unix:///run/user/$i/docker.sock"',
        'ps --quiet)" ] || { as_user systemctl --user reset-failed docker.service 2>/dev/null;',
        "as_user systemctl --user restart docker.service; }",
    )  # fmt: skip


@keeps("rootless.{user}.context")
def context(user: str) -> Commands:
    """
    The user's command ``docker`` talks to their own daemon, unless they chose another context.

    + user: their name
    """
    owner, found, client = _owner(user), read(UserContexts, user=user), read(DockerClient)
    for fact in (owner, found, client):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    if client is ABSENT:
        return follows("docker.packages")
    assert isinstance(found, dict)
    if found["current"] != "default":
        return holds(f"{user} uses the context {found['current']}")
    drift(
        actual=f"the docker of {user} talks to the system's daemon",
        wanted="to their own",
        will="make the context rootless and use it",
        leaves="their other contexts",
    )
    if "rootless" not in found["endpoints"]:
        yield StringCommand(
            acting_as(user), "as_user docker context create rootless --description",
            "'Rootless mode' --docker \"host=unix:///run/user/$i/docker.sock\" >/dev/null",
        )  # fmt: skip
    yield StringCommand(acting_as(user), "as_user docker context use rootless >/dev/null")


def _owner(user: str) -> Owner | Unknown:
    owner = read(RootlessOwner, user=user)
    if isinstance(owner, Absent):
        return Unknown(f"there is no user {user}; make it first, or leave it out of rig_users")
    return owner


def _bringing() -> str:
    """The promise with which dockerd-rootless.sh comes."""
    return "docker.packages" if read(DockerInstalled) is ABSENT else "rootless.packages"


def _shown(user: str) -> str:
    return f"~{user}/.config/docker/daemon.json"


def _config(
    user: str, keys: Mapping[str, Any], cdi_files: bool
) -> tuple[DaemonFile | Unknown | str, dict[str, Any]]:
    """
    The user's daemon.json (or the promise it follows) and the keys that it should have.

    Where dockerd-rootless.sh does not show the daemon the CDI folders, the specs are named one by
    one, after what the user has named.
    """
    owner, script = _owner(user), read(RootlessScript)
    file = read(UserDaemonConfig, user=user)
    for fact in (owner, script):
        if isinstance(fact, Unknown):
            return fact, {}
    if isinstance(file, Unknown):
        return Unknown(f"{_shown(user)}: {file.reason}; it is left as it is"), {}
    if script is ABSENT:
        return _bringing(), {}
    if isinstance(file, Absent):
        file = DaemonFile(path="", config={}, indent="    ", changed=0.0)
    assert isinstance(script, dict)
    goal = dict(keys)
    if cdi_files and not script["shows_cdi"]:
        there = file["config"].get("cdi-spec-dirs", [])
        if not isinstance(there, list):
            return Unknown(f"{_shown(user)}: its cdi-spec-dirs is not a list"), {}
        missing = [one for one in (*CDI_DIRS, *CDI_FILES) if one not in there]
        goal["cdi-spec-dirs"] = [*there, *missing]
    return file, goal
