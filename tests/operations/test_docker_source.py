"""Docker's sources, proxy and socket on a booted Debian 13: swapped with everything kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.errors import HostError
from gpurig.operations.docker import engine as docker
from gpurig.operations.docker import proxy, socket, source
from gpurig.operations.packages import dpkg
from gpurig.operations.shared import apt
from gpurig.operations.users import docker_context
from gpurig.stack.model import Repository
from gpurig.stack.tables import tables
from lab.docker import docker as docker_repository
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

DEBIAN = ("docker.io", "docker-cli", "ca-certificates")
DAEMON = {"log-driver": "local"}
PROXY = "http://ada:s3cret%2Fword@proxy.example.com:3128"
DROP_INS = "/etc/systemd/system/docker.service.d"

passes: Passes
repository: Repository
DOCKER = tuple(next(row.packages for row in tables().docker if row.family == "debian"))


def of_debian() -> None:
    """Docker of the distribution, as its deploy orders it where that is asked for."""
    dpkg.whole()
    source.source(source="distribution", packages=DEBIAN)
    _rest(DEBIAN)


def of_docker() -> None:
    """Docker CE, from Docker's repository to the daemon."""
    dpkg.whole()
    apt.keyring(promise="docker.keyring", repository=repository)
    apt.repository(
        promise="docker.repository",
        keyring="docker.keyring",
        repository=repository,
        architecture="amd64",
    )
    source.source(source="docker", packages=DOCKER)
    _rest(DOCKER)


def kept() -> None:
    """Whatever is installed stays: no source is asked for."""
    _rest(DEBIAN)


def _rest(packages: tuple[str, ...]) -> None:
    docker.packages(packages=packages)
    docker.daemon_config(keys=DAEMON)
    docker.service()
    docker.running_config(keys=DAEMON)
    socket.socket()


@pytest.fixture(scope="module", autouse=True)
def _host(boot: Boot, lab: Lab) -> Iterator[None]:
    """A host with Debian's Docker, on which a user has worked."""
    global passes, repository
    passes = Passes.over(boot("trixie", "dk-source"))
    place = docker_repository(lab, passes.host)
    repository = Repository(
        name="docker",
        uri=f"{place.url}/debian",
        suite="trixie",
        components=("stable",),
        key_url=f"{place.url}/debian/gpg",
        fingerprint=place.fingerprint,
    )
    assert all_hold(passes.up(of_debian)), "one run converges from bare"
    lab.import_base_image(passes.host, "base")
    passes.shell(
        "docker volume create data >/dev/null &&"
        " docker run --rm --network none -v data:/d base sh -c 'echo precious > /d/file' &&"
        " docker run --network none --name stopped base true &&"
        " docker run --detach --network none --restart always --name always base sleep 100000 &&"
        " docker run --detach --network none --restart unless-stopped --name web base sleep 9999 &&"
        " docker stop --time 1 web"
    )
    yield
    passes.link.close()


def _everything() -> dict[str, str]:
    """What a user has in Docker: images, containers and volumes by id, a volume's data."""
    return {
        what: passes.shell(command)
        for what, command in {
            "images": "docker images --no-trunc --quiet",
            "containers": "docker ps --all --no-trunc --format '{{.ID}} {{.Names}}' | sort",
            "volumes": "docker volume ls --quiet",
            "data": "cat /var/lib/docker/volumes/data/_data/file",
            "daemon.json": "cat /etc/docker/daemon.json",
        }.items()
    }


def _installed() -> str:
    form = r"${db:Status-Status} ${Package} ${Version}\n"
    return passes.shell(f"dpkg-query -W -f '{form}' | grep ^installed")


def test_a_running_container_makes_the_swap_due_by_name() -> None:
    """While a container runs nothing of Docker moves, and the sentence says what to stop."""
    before = passes.shell("docker ps --no-trunc --quiet"), _installed()

    found = passes.up(of_docker)

    assert found["docker.source"].verdict is Verdict.DUE
    assert "docker stop always" in found["docker.source"].reason
    assert (passes.shell("docker ps --no-trunc --quiet"), _installed()) == before


def test_a_container_of_somebody_else_s_containerd_makes_it_due_as_well() -> None:
    """Also what Docker does not list stands on the containerd that would be replaced."""
    passes.shell(
        "docker stop --time 1 always; cp /usr/bin/sleep /root/containerd-shim-runc-v2;"
        " systemd-run --unit=shim /root/containerd-shim-runc-v2 1000"
    )

    found = passes.plan(of_docker)["docker.source"]

    assert found.verdict is Verdict.DUE
    assert "that Docker does not list" in found.reason
    passes.shell("systemctl stop shim")


def test_a_package_on_hold_is_not_moved() -> None:
    """A hold is named; nothing is changed while it lasts."""
    passes.shell("apt-mark hold docker.io")

    found = passes.up(of_docker)["docker.source"]

    assert found.verdict is Verdict.UNKNOWN
    assert "docker.io is on hold" in found.reason
    passes.shell("apt-mark unhold docker.io")


def test_what_apt_would_remove_of_the_user_s_stops_it_by_name() -> None:
    """A package that needs docker.io is nothing that a swap may take away."""
    passes.shell(
        "mkdir -p /root/mine/DEBIAN && printf 'Package: mine\\nVersion: 1\\nArchitecture: all\\n"
        "Maintainer: m\\nDepends: docker.io\\nDescription: d\\n' > /root/mine/DEBIAN/control &&"
        " dpkg-deb --build /root/mine /root/mine.deb && dpkg -i /root/mine.deb"
    )
    before = _installed()

    with pytest.raises(HostError, match="would remove mine"):
        passes.link.apply(of_docker)

    assert _installed() == before
    passes.shell("dpkg --purge mine")


def test_the_swap_keeps_everything_there_and_back() -> None:
    """To Docker CE and back to docker.io: the same ids, the same data, no change in between."""
    before = _everything()
    assert "docker start web" in passes.plan(of_docker)["docker.source"].will

    assert all_hold(passes.up(of_docker, {"docker.source"}))

    assert _everything() == before
    assert " docker-ce 5:" in _installed()
    assert passes.shell("docker ps --format '{{.Names}}'").split() == ["always"]
    assert all_hold(passes.up(of_docker)), "again: zero changes"
    assert all_hold(passes.plan(kept)), "what is installed stays"
    passes.repaired(of_debian, "docker stop --time 1 always", {"docker.source"})

    assert _everything() == before
    assert " docker-ce 5:" not in _installed()
    assert all_hold(passes.up(of_debian))
    passes.shell("docker stop --time 1 always")


CUT_OFF = {
    "docker.io removed": "apt-get -qq -y remove docker.io docker-cli",
    "containerd.io and docker-ce unpacked only": (
        "cd /root && apt-get -qq download docker-ce containerd.io &&"
        " apt-get -qq -y remove docker.io docker-cli containerd runc &&"
        " dpkg --unpack containerd.io_*.deb docker-ce_*.deb"
    ),
}


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(cut, id=name, marks=[pytest.mark.long] * (name == "docker.io removed"))
        for name, cut in CUT_OFF.items()
    ],
)
def test_a_swap_that_was_cut_off_goes_on(cut: str) -> None:
    """Half of the old or half of the new: one run ends with everything there."""
    before = _everything()
    passes.shell(cut)

    assert all_hold(passes.up(of_docker))

    assert _everything() == before
    passes.shell("docker stop --time 1 always")
    assert all_hold(passes.up(of_debian))
    passes.shell("docker stop --time 1 always")


FOREIGN = {
    "a snap": (
        "mkdir -p /snap/bin /var/snap/docker; cp /bin/true /snap/bin/docker",
        "Docker is a snap",
        "rm -r /snap /var/snap",
    ),
    "Podman's docker": (
        "mkdir -p /root/p/DEBIAN && printf 'Package: podman-docker\\nVersion: 5\\nArchitecture: all"
        "\\nMaintainer: m\\nDescription: d\\n' > /root/p/DEBIAN/control &&"
        " dpkg-deb --build /root/p /root/p.deb && dpkg --force-all -i /root/p.deb",
        "podman-docker",
        "dpkg --purge podman-docker",
    ),
    "two packagings": (
        "mkdir -p /root/c/DEBIAN && printf 'Package: docker-ce\\nVersion: 5:1\\nArchitecture: all"
        "\\nMaintainer: m\\nDescription: d\\n' > /root/c/DEBIAN/control &&"
        " dpkg-deb --build /root/c /root/c.deb && dpkg --force-all -i /root/c.deb",
        "two packagings of Docker are installed: docker-ce and docker.io",
        "dpkg --purge docker-ce",
    ),
}


@pytest.mark.parametrize(("come", "says", "go"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_understood_is_named_and_nothing_is_changed(
    come: str, says: str, go: str
) -> None:
    """Another Docker than one of the two packagings alone: a sentence, and no byte changes."""
    passes.shell(come)
    seen = "find /etc -type f -exec sha256sum {} + | sort -k2; dpkg-query -W"
    before = passes.shell(seen)

    found = passes.up(kept)
    after = passes.shell(seen)
    passes.shell(go)

    assert found["docker.packages"].verdict is Verdict.UNKNOWN
    assert says in found["docker.packages"].reason
    assert not [one for one in found.values() if one.verdict is Verdict.DRIFTED]
    assert after == before
    assert all_hold(passes.plan(kept))


def test_the_socket_is_closed_again() -> None:
    """World-writable or of another group by hand: repaired now."""
    for drift in ("chmod 666 /run/docker.sock", "chgrp users /run/docker.sock"):
        passes.repaired(kept, drift, {"docker.socket"})
        assert passes.shell("stat -c '%a %G' /run/docker.sock").split() == ["660", "docker"]


def test_a_drop_in_that_opens_the_socket_is_named_and_stays() -> None:
    """What the user wrote is not removed: the socket is closed now, and the rest is theirs."""
    place = "/etc/systemd/system/docker.socket.d/mine.conf"
    passes.shell(
        f"mkdir -p $(dirname {place}); printf '[Socket]\\nSocketMode=0666\\n' > {place};"
        " systemctl daemon-reload; systemctl restart docker.socket docker.service"
    )

    found = passes.up(kept, {"docker.socket"})["docker.socket"]

    assert found.verdict is Verdict.DUE
    assert place in found.reason
    assert passes.shell("stat -c %a /run/docker.sock").strip() == "660"
    passes.shell(f"rm {place}; systemctl daemon-reload")
    assert all_hold(passes.plan(kept))


def test_no_tcp_socket_is_opened() -> None:
    """dockerd listens on its unix socket and on nothing else."""
    listening = passes.shell("ss -Hltnp")
    assert "sshd" in listening or "systemd" in listening, "the list is complete"
    assert "docker" not in listening
    assert ":2375" not in listening
    assert ":2376" not in listening


def _proxied(url: str | None) -> dict[str, Finding]:
    """One run with this proxy in the settings."""
    return passes.up(lambda: _proxy(url))


def _proxy(url: str | None) -> None:
    proxy.proxy(url=url)
    docker.service()
    proxy.running_proxy(url=url)


def _daemons() -> str:
    said = json.loads(passes.shell("docker info --format '{{json .HTTPSProxy}}'"))
    return str(said).removeprefix("http://").rpartition("@")[2]


def test_dockerd_gets_the_proxy_and_nobody_reads_its_password() -> None:
    """By a drop-in; its address in no unit, in no file that others read, in no command line."""
    passes.shell("docker update --restart no always; docker stop --time 1 always")
    before = passes.shell("cat /usr/lib/systemd/system/docker.service")

    assert all_hold(_proxied(PROXY))
    assert all_hold(_proxied(PROXY)), "again: zero changes"

    assert _daemons() == "proxy.example.com:3128"
    pid = "$(systemctl show docker --value --property=MainPID)"
    assert f"HTTP_PROXY={PROXY}" in passes.shell(f"tr '\\0' '\\n' < /proc/{pid}/environ")
    assert "s3cret" not in passes.shell("systemctl show docker.service; systemctl cat docker")
    readable = "find /etc /run /var/log -xdev -type f -perm /044 -exec grep -l s3cret {} + || :"
    assert not passes.shell(readable)
    assert passes.shell("stat -c '%a %U' /etc/gpurig/docker-proxy.env").split() == ["600", "root"]
    assert passes.shell("cat /usr/lib/systemd/system/docker.service") == before


@pytest.mark.parametrize(
    ("drift", "broken"),
    [
        ("rm /etc/gpurig/docker-proxy.env", {"docker.proxy"}),
        ("chmod 644 /etc/gpurig/docker-proxy.env", {"docker.proxy"}),
        (f"rm {DROP_INS}/gpurig-proxy.conf; systemctl daemon-reload", {"docker.proxy"}),
    ],
    ids=["address removed", "address readable", "drop-in removed"],
)
def test_each_drift_of_the_proxy_is_repaired(drift: str, broken: set[str]) -> None:
    """Named and repaired; the daemon has it at its next start, too."""
    passes.repaired(lambda: _proxy(PROXY), drift, broken)
    passes.shell("systemctl reset-failed docker; systemctl restart docker")
    assert all_hold(passes.plan(lambda: _proxy(PROXY)))


def test_with_a_container_running_a_new_proxy_is_due() -> None:
    """The file is written; the daemon takes it when nothing is stopped by that."""
    passes.shell("docker start always")
    other = "http://other.example.com:3128"

    found = _proxied(other)

    assert found["docker.proxy"].verdict is Verdict.HOLDS
    assert found["docker.running-proxy"].verdict is Verdict.DUE
    assert passes.shell("docker ps --format '{{.Names}}'").split() == ["always"]
    passes.shell("docker stop --time 1 always")
    assert all_hold(_proxied(other))


@pytest.mark.parametrize("quoted", ['"HTTPS_PROXY={}"', 'HTTPS_PROXY="{}"'])
def test_the_user_s_own_proxy_stays_and_counts(quoted: str) -> None:
    """Where a drop-in of the user's gives dockerd a proxy, ours goes."""
    mine = f"{DROP_INS}/mine.conf"
    theirs = quoted.format("http://mine.example.com:1")
    assert all_hold(_proxied(PROXY)), "ours is there before"
    passes.host.write(mine, f"[Service]\nEnvironment={theirs}\n")
    passes.shell("systemctl daemon-reload")

    found = _proxied(PROXY)

    assert all_hold(found)
    assert mine in found["docker.proxy"].reason
    assert passes.shell(f"ls {DROP_INS}").split() == ["mine.conf"]
    assert _daemons() == "mine.example.com:1"
    passes.shell(f"rm {mine}; systemctl daemon-reload; systemctl restart docker")


def test_without_rig_proxy_ours_goes_and_nothing_else() -> None:
    """Removing the setting removes our two files, and the daemon runs without."""
    assert all_hold(_proxied(PROXY))
    passes.shell(f"printf '[Service]\\nEnvironment=MINE=1\\n' > {DROP_INS}/mine.conf")

    assert all_hold(_proxied(None))

    left = passes.shell(f"find {DROP_INS} /etc/gpurig -type f 2>/dev/null || :").split()
    assert left == [f"{DROP_INS}/mine.conf"]
    assert _daemons() == ""


def test_users_who_talk_to_another_daemon_are_named_and_left() -> None:
    """A context, a DOCKER_HOST in a profile: who, what, and the way back; never a failure."""
    passes.shell(
        "useradd --create-home ada; useradd --create-home bob; useradd --create-home carol;"
        " su ada -c 'docker context create mine"
        " --docker host=unix:///run/user/1000/docker.sock; docker context use mine';"
        " echo 'export DOCKER_HOST=\"ssh://me:pw@far.example.com\"' >> /home/bob/.profile;"
        " echo 'export DOCKER_HOST=unix:///var/run/docker.sock' >> /home/carol/.profile;"
        " mkfifo /home/carol/.bash_profile"
    )

    def named() -> None:
        docker_context.contexts(users=("ada", "bob", "carol"))

    found = passes.up(named)["users.docker-context"]

    assert found.verdict is Verdict.LEFT_OUT
    assert "the docker command of ada uses the context mine" in found.reason
    assert "docker context use default" in found.reason
    assert (
        "bob has DOCKER_HOST=ssh://far.example.com for the docker command in /home/bob/.profile"
    ) in found.reason
    assert "carol" not in found.reason
    passes.shell("su ada -c 'docker context use default'; rm /home/bob/.profile")
    assert all_hold(passes.plan(named))
