"""`gpurig remove` on a Debian 13: what gpurig made goes, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system.person import Answer, Person, settings, state

pytestmark = pytest.mark.lab

VENVS, PROGRAMS, DATA = "/opt/gpurig/venvs", "/opt/gpurig/workloads", "/var/lib/gpurig/datasets"
# What users put into gpurig's folders, and into what gpurig changed.
THEIRS = f"""
mkdir -p {VENVS}/mine/bin {DATA}/mine {PROGRAMS}/old
echo 'home = /usr/bin' > {VENVS}/mine/pyvenv.cfg
echo mine > /opt/gpurig/notes.txt; echo mine > {DATA}/mine/set; echo mine > {PROGRAMS}/old/a.py
echo '# mine' >> {PROGRAMS}/mnist.py
sed -i '1s/.*/{{"labels": ["mine=1"],/' /etc/docker/daemon.json
gpasswd --add bob docker
"""
STAYS = {
    f"{VENVS}/mine/pyvenv.cfg", "/opt/gpurig/notes.txt", f"{DATA}/mine/set", f"{PROGRAMS}/mnist.py",
    f"{PROGRAMS}/old/a.py", "/etc/docker/daemon.json",
}  # fmt: skip
# What the packages of Docker and virtualenv, and Docker itself, write without owning it.
OF_PACKAGES = (
    "/etc/.pwd.lock", "/etc/alternatives/", "/etc/apparmor.d/", "/etc/ca-certificates",
    "/etc/cni/", "/etc/docker/key.json", "/etc/group", "/etc/gshadow", "/etc/inputrc",
    "/etc/ld.so.cache", "/etc/networks", "/etc/passwd", "/etc/python3", "/etc/rc", "/etc/shadow",
    "/etc/ssl/", "/etc/sub", "/etc/systemd/system/multi-user.target.wants/",
    "/etc/systemd/system/sockets.target.wants/", "/etc/systemd/system/sysinit.target.wants/",
    "/var/lib/python/",
)  # fmt: skip
# Places of packages and caches; /usr/local and keyrings are looked at.
_PRUNED = (
    "/proc /sys /run /tmp /dev /home /usr/bin /usr/sbin /usr/lib /usr/libexec /var/lib/docker"
    " /var/lib/containerd /var/lib/dpkg /var/lib/apt /var/lib/systemd /var/cache /var/log /var/tmp"
)


def files(host: Host) -> set[str]:
    """Every file of the host that no package owns, but for those of packages' own places."""
    pruned = " -o ".join(f"-path {path}" for path in _PRUNED.split())
    answer = host.ssh(
        "cat /var/lib/dpkg/info/*.list | sort -u > /tmp/owned;"
        f" find / -xdev \\( {pruned} \\) -prune -o ! -type d ! -path '*/__pycache__/*' -print"
        " | sort > /tmp/found; comm -13 /tmp/owned /tmp/found"
    )
    return set(answer.stdout.splitlines())


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """A bare host with two users."""
    made = boot("trixie", "gone13")
    made.ssh("useradd -m ann; useradd -m bob")
    return made


Wishes = Callable[..., Path]


@pytest.fixture(scope="module")
def wishes(host: Host, person: Person, lab: Lab) -> Wishes:
    """The inventory, with these settings besides."""

    def written(**more: object) -> Path:
        data = host.ssh_data() | {
            "rig_components": ["docker", "environments"],
            "rig_frameworks": ["xgboost"],
            "rig_workloads": ["trees"],
            "rig_jupyter": True,
            "rig_docker_daemon": {"log-driver": "local", "log-opts": {"max-size": "9m"}},
            "rig_proxy": None,
        }
        return person.inventory({host.name: data | more}, **settings(lab))

    return written


@pytest.fixture(scope="module")
def bare(host: Host, wishes: Wishes, person: Person) -> tuple[set[str], Answer]:
    """The files of the bare host, and what is planned there."""
    return files(host), person.gpurig("plan", wishes(rig_users=["ann"]), "--json")


@pytest.fixture(scope="module")
def used(bare: object, host: Host, wishes: Wishes, person: Person) -> Answer:
    """Set up and proven, once for ann and once for the user gpurig; then users have been there."""
    first = person.gpurig("up", wishes(rig_users=["ann"]), "--json")
    assert first.code in (0, 4), first.problems
    second = person.gpurig("up", wishes(), "--json", "--prove", "always")
    assert second.code in (0, 4), second.problems
    assert host.ssh(THEIRS)[0] == 0
    return second


def test_a_user_makes_an_environment_of_their_own(used: Answer, host: Host) -> None:
    """As docs/how-to/jupyter.md says: with what gpurig installed, and gpurig's packages in it."""
    packages = "/opt/gpurig/venvs/xgboost/lib/python3.13/site-packages"
    done = host.ssh(
        "cd /tmp && runuser -u ann -- sh -ec 'cd; virtualenv -q ~/jupyter;"
        f" virtualenv -q --python {VENVS}/xgboost/bin/python ~/mine;"
        f" echo {packages} > ~/mine/lib/python3.13/site-packages/gpurig.pth;"
        ' ~/mine/bin/python -c "import xgboost; print(xgboost.__file__)"\''
    )
    assert done[0] == 0, done
    assert done.stdout.strip().startswith(packages)


def test_without_a_yes_it_only_says_what_would_go(
    used: Answer, host: Host, wishes: Wishes, person: Person
) -> None:
    """On no terminal there is nobody to ask."""
    before = state(host)
    asked = person.gpurig("remove", wishes(rig_users=["bob"]), "--json")
    assert asked.code == 3, asked.problems
    assert {
        "removal.docker-group", "removal.docker-keys", "removal.environments", "removal.tools",
        "removal.workloads", "removal.data", "removal.user", "environments.kernels",
    } <= asked.drifted(host.name)  # fmt: skip
    assert "removal.records" in asked.follows(host.name)
    assert state(host) == before


def test_what_gpurig_made_goes_and_nothing_else(
    bare: tuple[set[str], Answer], used: Answer, host: Host, wishes: Wishes, person: Person
) -> None:
    """The files are those from before, and those of the users."""
    gone = person.gpurig("remove", wishes(rig_users=["bob"]), "-y", "--json")
    assert gone.code == 0, gone.problems
    more = files(host) - bare[0]
    unexpected = {file for file in more - STAYS if not file.startswith(OF_PACKAGES)}
    assert not unexpected
    assert more >= STAYS
    assert not bare[0] - files(host)
    kept = json.loads(host.ssh("cat /etc/docker/daemon.json").stdout)
    assert kept == {"labels": ["mine=1"]}
    assert host.ssh("getent group docker | cut -d: -f4").stdout.strip() == "bob"
    assert host.ssh("getent passwd gpurig")[0] != 0
    assert host.ssh("systemctl is-active docker.service").stdout.strip() == "active"


def test_a_second_time_there_is_nothing_and_what_stays_is_named(
    host: Host, wishes: Wishes, person: Person
) -> None:
    """Exit code 0; Docker and the users' own files are told with their reason."""
    again = person.gpurig("remove", wishes(rig_users=["bob"]), "-y")
    assert again.code == 0, again.out
    assert f"{host.name}: nothing to remove" in again.out
    for name in (f"{VENVS}/mine", f"{DATA}/mine", f"{PROGRAMS}/mnist.py", "/opt/gpurig/notes.txt",
                 "bob in the group docker", "--packages docker"):  # fmt: skip
        assert name in again.out, again.out


def test_a_plan_is_that_of_a_bare_host(
    bare: tuple[set[str], Answer], host: Host, wishes: Wishes, person: Person
) -> None:
    """But for Docker and the package of virtualenv; once the users' own files have gone as well."""
    host.ssh(f"rm -r {' '.join(STAYS - {'/etc/docker/daemon.json'})} {VENVS}/mine {DATA}/mine"
             f" {PROGRAMS}/old")  # fmt: skip
    gone = person.gpurig("remove", wishes(), "-y", "--json")
    assert gone.code == 0, gone.problems
    assert host.ssh("ls -d /opt/gpurig /var/lib/gpurig")[0] != 0
    plan = person.gpurig("plan", wishes(rig_users=["ann"]), "--json")
    before, now = bare[1].verdicts(host.name), plan.verdicts(host.name)
    kept = {name for name in before if now.get(name) != before[name]}
    assert kept <= {
        "docker.packages", "docker.service", "docker.running-config", "docker.socket",
        "docker.daemon-config", "users.docker-group", "environments.packages",
    }  # fmt: skip


def test_packages_go_where_they_are_named(host: Host, wishes: Wishes, person: Person) -> None:
    """By the word of their layer; their data stay."""
    gone = person.gpurig("remove", wishes(), "-y", "--packages", "docker", "--json")
    assert gone.code == 0, gone.problems
    assert host.ssh("command -v dockerd docker")[0] != 0
    assert host.ssh("test -d /var/lib/docker")[0] == 0
