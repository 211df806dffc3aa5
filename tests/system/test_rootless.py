"""Docker without root for two users, and podman, on a Debian 13 with GPUs: from bare and broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.docker import docker as docker_repository
from lab.hosts import Host
from lab.lab import Lab
from system import laws
from system.person import Answer, Person, settings

pytestmark = pytest.mark.lab

UNIT = "/etc/systemd/user/docker.service"
# Where each packaging has its scripts.
CONTRIB = {"distribution": "/usr/share/docker.io/contrib", "docker": "/usr/bin"}
# What bob's hand wrote before: a unit in his home, and a daemon.json of his own.
BOBS_UNIT = """[Unit]
Description=bob's own
[Service]
Environment=PATH=CONTRIB:/usr/bin:/usr/sbin:/bin:/sbin
ExecStart=CONTRIB/dockerd-rootless.sh
Type=notify
NotifyAccess=all
Delegate=yes
KillMode=mixed
[Install]
WantedBy=default.target
"""
BOBS_DAEMON = {
    "log-driver": "local",
    "cdi-spec-dirs": ["/home/bob/cdi"],
    "runtimes": {"mine": {"path": "/usr/bin/runc"}},
}
# The lab hands its hosts a tun device that only root may open; a real one is open to all.
TUN = """[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/chmod 666 /dev/net/tun
[Install]
WantedBy=sysinit.target
"""


def _as(user: str, command: str) -> str:
    """A command of the user's, as after a login."""
    return (
        f'cd / && runuser -u {user} -- env HOME=/home/{user} "XDG_RUNTIME_DIR=/run/user/'
        f'$(id -u {user})" {command}'
    )


@pytest.fixture(
    scope="module", params=["distribution", pytest.param("docker", marks=pytest.mark.long)]
)
def source(request: pytest.FixtureRequest) -> str:
    """Where Docker comes from."""
    return str(request.param)


@pytest.fixture(scope="module")
def bobs_unit(source: str) -> str:
    """His, for this packaging."""
    return BOBS_UNIT.replace("CONTRIB", CONTRIB[source])


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host], bobs_unit: str) -> Host:
    """A host with the driver's user space and somebody's podman, and without any Docker."""
    made = boot("trixie", "rless", gpu="h100", gpus=2)
    made.ssh(
        "sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/'"
        " /etc/apt/sources.list.d/debian.sources; apt-get -qq update;"
        " DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends"
        " nvidia-smi libnvidia-ml1 podman; useradd -m ada; useradd -m bob;"
        " mkdir -p /home/bob/.config/systemd/user /home/bob/.config/docker"
    )
    made.write("/etc/systemd/system/lab-tun.service", TUN)
    made.write("/home/bob/.config/systemd/user/docker.service", bobs_unit)
    made.write("/home/bob/.config/docker/daemon.json", json.dumps(BOBS_DAEMON, indent=2))
    made.ssh("systemctl enable --now lab-tun.service; chown -R bob: /home/bob/.config")
    return made


@pytest.fixture(scope="module")
def inventory(host: Host, person: Person, lab: Lab, source: str) -> Path:
    """Docker and the toolkit, and a Docker without root for both users."""
    common = settings(lab) | {"rig_docker_source": source}
    if source == "docker":
        there = docker_repository(lab, host)
        places = {"url": there.url, "fingerprint": there.fingerprint}
        common["rig_repositories"] |= {"docker": places}
    data = host.ssh_data() | {
        "rig_components": ["docker", "container-toolkit"],
        "rig_assume_gpu": ["10de:2330", "10de:2330"],
        "rig_users": ["ada", "bob"],
        "rig_docker_rootless": True,
    }
    return person.inventory({host.name: data}, **common)


@pytest.fixture(scope="module")
def first(host: Host, inventory: Path, person: Person, source: str) -> Answer:
    """
    The first `up`; of Docker's packages the second.

    The lab's are those of Debian's release, older than Docker's newest, of which the resolver knows
    that it has CDI switched on: what this one needs is known once it is there.
    """
    up = person.gpurig("up", inventory, "--json")
    return up if source == "distribution" else person.gpurig("up", inventory, "--json")


def _files(host: Host) -> str:
    return host.ssh(
        "find /home /etc -xdev -type f ! -path '*/.local/*' -exec sha256sum {} + | sort -k2"
    ).stdout


def test_one_command_gives_each_user_a_docker_with_gpus(first: Answer, host: Host) -> None:
    """From bare: each user's own daemon lists the GPUs both ways, and so do root's and podman."""
    assert first.code == 0, first.problems
    laws.plan_told_the_truth(first, host.name)
    laws.everything_is_proven(first, host.name)
    proofs = first.proofs(host.name)
    for shown in ("rootless.daemon", "rootless.cdi-lists-gpus", "rootless.runtime-lists-gpus",
                  "docker.cdi-lists-gpus", "docker.runtime-lists-gpus",
                  "podman.cdi-lists-gpus"):  # fmt: skip
        assert proofs[shown] == "passed", first.host(host.name)["proofs"]


def test_nobody_became_root_for_it(first: Answer, host: Host) -> None:
    """The users are not in the group docker, and rootful containers keep their cgroups."""
    assert first.verdicts(host.name, "final")["users.docker-group"] == "left-out"
    assert "docker" not in host.ssh("id -nG ada; id -nG bob").stdout.split()
    assert not host.ssh(
        "grep -E '^ *no-cgroups *= *true' /etc/nvidia-container-runtime/config.toml || :"
    ).stdout


def test_what_bob_set_up_by_hand_stays(first: Answer, host: Host, bobs_unit: str) -> None:
    """His unit byte by byte, his keys of daemon.json by value and order, himself their owner."""
    assert host.read("/home/bob/.config/systemd/user/docker.service") == bobs_unit
    config = json.loads(host.read("/home/bob/.config/docker/daemon.json"))
    assert list(config)[:3] == list(BOBS_DAEMON)
    assert config["log-driver"] == "local"
    assert config["cdi-spec-dirs"][0] == "/home/bob/cdi"
    assert config["runtimes"]["mine"] == {"path": "/usr/bin/runc"}
    owner = "stat -c '%U %a' /home/bob/.config/docker/daemon.json"
    assert host.ssh(owner).stdout.split() == ["bob", "644"]
    shown = _as("bob", "systemctl --user show docker.service --property=Description")
    assert "bob's own" in host.ssh(shown).stdout


def test_again_changes_nothing(first: Answer, host: Host, inventory: Path, person: Person) -> None:
    """The second run: 0 changes, and no byte in the homes."""
    before = _files(host)
    laws.again_changes_nothing(person, inventory, host)
    assert _files(host) == before


def test_each_break_is_named_and_repaired(
    first: Answer, host: Host, inventory: Path, person: Person
) -> None:
    """What users and others do to it: each named by its promise, all repaired by one run."""
    breaks = {
        "rootless.packages": "apt-get -qq -y remove slirp4netns",
        "rootless.unit": f"sed -i s/dockerd-rootless/nowhere/ {UNIT}",
        "rootless.cdi-folder": "rm /etc/tmpfiles.d/gpurig-cdi.conf",
        "rootless.ada.ids": "sed -i /^ada:/d /etc/subgid",
        "rootless.ada.daemon-config": "echo '{\"debug\": true}' >"
        " /home/ada/.config/docker/daemon.json",
        "rootless.bob.service": "loginctl disable-linger bob; "
        + _as("bob", "systemctl --user disable --now docker.service"),
        "rootless.ada.context": _as("ada", "docker context use default"),
    }
    for script in breaks.values():
        done = host.ssh(script)
        assert done.rc == 0, f"{script}: {done.stderr}"
    plan = person.gpurig("plan", inventory, "--json")
    assert plan.code == 3, plan.problems
    assert plan.drifted(host.name) == set(breaks)

    up = person.gpurig("up", inventory, "--json")

    assert up.code == 0, up.problems
    laws.plan_told_the_truth(up, host.name)
    laws.everything_is_proven(up, host.name)
    assert json.loads(host.read("/home/ada/.config/docker/daemon.json"))["debug"] is True
