"""Links in /dev/char: by them systemd finds the NVIDIA devices that containers are allowed."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.engine import CLIENT, DOCKER, RUNS


class Links(TypedDict):
    """
    What decides whether containers keep their GPUs over ``systemctl daemon-reload``.

    + runc: its version, ``1.1.5+ds1``; systemd: its version, ``252``
    + cgroup_driver: Docker's, ``systemd`` or ``cgroupfs``; empty while Docker does not answer
    + missing: NVIDIA's device nodes without a link in /dev/char, ``/dev/nvidia0`` …
    + rule: the udev rule that makes the links at each boot, empty where there is none
    + unruled: names of running containers whose scope allows none of the GPUs they were given
    """

    runc: str
    systemd: int
    cgroup_driver: str
    missing: list[str]
    rule: str
    unruled: list[str]


# The nodes are those that nvidia-ctk links (its existing.go): not nvidia-fs, nvswitch and nvlink.
_NODES = (
    "for n in /dev/nvidia* /dev/nvidia-caps/nvidia-*; do"
    ' [ -c "$n" ] || continue; case ${n##*/} in nvidia-fs*|nvidia-nv*) continue; esac;'
    " set -- $(stat -c '0x%t 0x%T' \"$n\");"
    ' [ -e "/dev/char/$(($1)):$(($2))" ] || echo "missing $n"; done;'
)
_RULE = (
    "for f in /etc/udev/rules.d/*.rules /run/udev/rules.d/*.rules /lib/udev/rules.d/*.rules; do"
    ' [ ! -e "$f" ] || [ -z "$(sed -n /create-dev-char-symlinks/p "$f")" ] ||'
    ' { echo "rule $f"; break; }; done;'
)
# 195: the major number of NVIDIA's devices (Linux, admin-guide/devices.txt)
_CONTAINERS = (
    f"{RUNS} && {CLIENT} || exit 0;"
    f" must timeout 20 {DOCKER} info --format 'driver {{{{.CgroupDriver}}}}';"
    f" for id in $(must timeout 20 {DOCKER} ps --no-trunc --quiet); do"
    f" set -- $(may {DOCKER} inspect --format '{{{{.State.Pid}}}} {{{{.Name}}}}' \"$id\");"
    ' [ -e "/proc/$1/root/dev/nvidiactl" ] || continue;'
    ' case $(must systemctl show "docker-$id.scope" --property=DeviceAllow) in'
    ' */195:*|*char-nvidia*) ;; *) echo "unruled ${2#/}" ;; esac; done'
)


class DeviceLinks(Fact[Links]):
    """The links in /dev/char and what needs them; ABSENT on a host without runc."""

    def command(self) -> StringCommand:
        return framed(
            "tool runc runc || exit 3; must runc --version | sed -n 's/ version//;1p';"
            " ! command -v systemctl >/dev/null || must systemctl --version | sed -n '1s/(.*//p';"
            f" {_NODES} {_RULE} {_CONTAINERS}"
        )

    def parse(self, lines: list[str], code: int) -> Links | Absent | Unknown:
        if code == 3:
            return ABSENT
        said: dict[str, list[str]] = {}
        for line in lines:
            key, _, value = line.strip().partition(" ")
            said.setdefault(key, []).append(value)
        if "runc" not in said:
            return Unknown("runc --version did not answer")
        return Links(
            runc=said["runc"][0],
            systemd=int(said.get("systemd", ["0"])[0]),
            cgroup_driver=said.get("driver", [""])[0],
            missing=said.get("missing", []),
            rule=said.get("rule", [""])[0],
            unruled=said.get("unruled", []),
        )
