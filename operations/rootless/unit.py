"""What the Docker of every user stands on: systemd's unit for it, and the folder of CDI specs."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.docker.engine import DockerInstalled
from gpurig.facts.rootless import UNIT, CdiFolder, RootlessScript, RootlessUnit
from gpurig.operations.shared.file import written

FOLDER_FILE = "/etc/tmpfiles.d/gpurig-cdi.conf"
MARK = "# Written by gpurig for rig_docker_rootless."


# A rootless dockerd sees of /run what was there when it started, and lingering users' daemons may
# start before nvidia-cdi-refresh.service has made the folder.
@keeps("rootless.cdi-folder")
def cdi_folder() -> Commands:
    """The folder /run/cdi is there before any daemon of a user starts."""
    if known(CdiFolder):
        return holds("/run/cdi is made at every boot")
    drift(
        actual="/run/cdi is made too late, or not at all",
        wanted="it exists before any user's Docker starts",
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
    script, text = known(RootlessScript), known(RootlessUnit)
    if script is ABSENT:
        return follows(bringing())
    goal = unit_text(script["path"])
    if text is not ABSENT and not text.startswith(MARK):
        return holds(f"{UNIT} is not from gpurig; gpurig leaves it")
    if text == goal:
        return holds(f"{UNIT} starts {script['path']}")
    drift(
        actual=f"no {UNIT}" if text is ABSENT else f"{UNIT} differs",
        wanted=f"it starts {script['path']}",
        will=f"write {UNIT}",
        leaves="units in the homes of users, which win over it",
    )
    yield from written(UNIT, goal)


def bringing() -> str:
    """The promise with which dockerd-rootless.sh comes."""
    return "docker.packages" if read(DockerInstalled) is ABSENT else "rootless.packages"
