"""Docker's promises on a booted host: from bare, again, after each drift, with the user's own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from gpurig.contract.fact import read
from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.facts.rootless import RootlessOwner
from gpurig.facts.users.docker_context import DockerContexts
from gpurig.operations.docker import engine as docker
from gpurig.operations.docker import socket
from gpurig.operations.shared.daemon_json import wanted
from gpurig.operations.users import docker_group
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

FILE = "/etc/docker/daemon.json"
SUITES = {"trixie": (("docker.io", "docker-cli"), True), "bookworm": (("docker.io",), False)}
RESTART = "systemctl reset-failed docker.service; systemctl restart docker.service"

passes: Passes
packages: tuple[str, ...]
keys: dict[str, object]


def deployed() -> None:
    """Docker's operations in the order of its deploy."""
    docker.packages(packages=packages)
    docker.daemon_config(keys=keys)
    docker.service()
    docker.running_config(keys=keys)


@pytest.fixture(scope="module", params=SUITES, autouse=True)
def _host(request: pytest.FixtureRequest, boot: Boot) -> Iterator[None]:
    """A fresh host of each distribution, with Docker from nothing."""
    global passes, packages, keys
    packages, cdi = SUITES[request.param]
    keys = wanted({"log-opts": {"max-size": "5m"}}, nvidia=True, cdi=cdi)
    passes = Passes.over(boot(request.param, f"dk-{request.param[:4]}"))
    found = passes.plan(deployed)
    assert found["docker.packages"].verdict is Verdict.DRIFTED
    assert found["docker.service"].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    yield
    passes.link.close()


@pytest.fixture(autouse=True)
def _clean() -> None:
    """Each test begins with a host that holds."""
    passes.still_hold(deployed)


def test_again_changes_no_byte() -> None:
    """A second run changes no file under /etc and no package."""
    seen = "find /etc -type f -exec sha256sum {} + | sort -k2; dpkg-query -W"
    before = passes.look(seen)

    assert all_hold(passes.up(deployed))

    assert passes.look(seen) == before


DRIFTS = {
    "the runtime points elsewhere": (
        f"sed -i '/\"path\"/s/nvidia-container-runtime/gone/' {FILE}",
        {"docker.daemon-config"},
    ),
    "daemon.json replaced and taken": (
        f'echo \'{{"log-driver": "local"}}\' > {FILE}; {RESTART}',
        {"docker.daemon-config"},
    ),
    "daemon.json removed and taken": (f"rm {FILE}; {RESTART}", {"docker.daemon-config"}),
    "written but not taken": (
        f"cp {FILE} /root/d; echo '{{}}' > {FILE}; {RESTART}; cat /root/d > {FILE}",
        {"docker.running-config"},
    ),
    "stopped": ("systemctl stop docker.socket docker.service", {"docker.service"}),
    "disabled": ("systemctl disable docker.service docker.socket", {"docker.service"}),
    "package removed": ("apt-get -qq -y remove docker.io", {"docker.packages"}),
}


@pytest.mark.parametrize(("drift", "broken"), DRIFTS.values(), ids=DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str, broken: set[str]) -> None:
    """The plan names the promise that is broken, one run repairs it, the next finds nothing."""
    passes.repaired(deployed, drift, broken)


def test_foreign_keys_keep_their_values_and_order() -> None:
    """What the user wrote into daemon.json stays, in its order, with its indentation and mode."""
    theirs = (
        '{\n  "labels": ["größe=1"],\n  "runtimes": {"mine": {"path": "/usr/bin/runc"}},\n'
        '  "data-root": "/var/lib/docker"\n}\n'
    )
    passes.host.write(FILE, theirs, mode=0o640)
    passes.shell(f"chown root:docker {FILE}; {RESTART}")

    assert all_hold(passes.up(deployed))

    text = passes.look(f"cat {FILE}")
    config = json.loads(text)
    assert list(config)[:3] == ["labels", "runtimes", "data-root"]
    assert config["labels"] == ["größe=1"]
    assert config["runtimes"]["mine"] == {"path": "/usr/bin/runc"}
    assert config["runtimes"]["nvidia"]["path"] == "nvidia-container-runtime"
    assert '\n  "labels"' in text
    assert passes.look(f"stat -c '%a %U:%G' {FILE}").split() == ["640", "root:docker"]


def test_a_link_is_written_through() -> None:
    """A daemon.json that is a link stays one; the file it names gets the keys."""
    passes.shell(f"mv {FILE} /srv/daemon.json; ln -s /srv/daemon.json {FILE}; echo '{{}}' > {FILE}")

    assert all_hold(passes.up(deployed))

    assert passes.look(f"readlink {FILE}").strip() == "/srv/daemon.json"
    passes.shell(f"rm {FILE}; mv /srv/daemon.json {FILE}")
    assert all_hold(passes.up(deployed))


UNREADABLE = {
    "trailing comma": ('{\n  "debug": true,\n}', "line 3 column 1"),
    "runtimes is no object": ('{"runtimes": ["nvidia"]}', "runtimes is not an object"),
    "a flag says it too": ('{"hosts": ["fd://"]}', "docker.service"),
}


@pytest.mark.parametrize(("text", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_dockerd_cannot_read_is_unknown_and_left_alone(text: str, says: str) -> None:
    """No byte of a daemon.json that is not understood changes, and the sentence says where."""
    before = passes.look(f"cat {FILE}")
    passes.host.write(FILE, text)

    found = passes.up(deployed)

    assert found["docker.daemon-config"].verdict is Verdict.UNKNOWN
    assert says in found["docker.daemon-config"].reason
    assert passes.look(f"cat {FILE}") == text
    passes.host.write(FILE, before)
    assert all_hold(passes.up(deployed))


NO_OBJECT = {
    "two objects": ('{"debug": true}\n{"mtu": 1450}', "line 2 column 1"),
    "a key twice": ('{"debug": true, "debug": false}', "'debug' twice"),
    "an array": ("[]", "not a JSON object"),
    "half a character": ('{"labels": ["\\ud800=1"]}', "surrogate"),
}


def test_what_would_lose_something_is_left_alone() -> None:
    """What is no single JSON object that can be written back is named, and no byte changes."""
    before = passes.look(f"cat {FILE}")
    for name, (text, says) in NO_OBJECT.items():
        passes.host.write(FILE, text)
        found = passes.link.apply(deployed).findings["docker.daemon-config"]
        assert found.verdict is Verdict.UNKNOWN, name
        assert says in found.reason, name
        assert passes.look(f"cat {FILE}") == text, name
    passes.shell(f"rm {FILE}; mkdir {FILE}")
    assert "not a file" in passes.plan(deployed)["docker.daemon-config"].reason
    passes.shell(f"rmdir {FILE}")
    passes.host.write(FILE, before)


# What dockerd takes without complaint: the keys that are wanted, written in another way.
ACCEPTED = {
    "a byte order mark": "{{ printf '\\357\\273\\277'; cat /root/right; }} > {}",
    "UTF-16": "iconv -t UTF-16 < /root/right > {}",
    "CRLF and blanks around": "{{ printf '\\n \\t'; sed 's/$/\\r/' /root/right; echo; }} > {}",
    "a key twice, the last counts": (
        'sed \'0,/{{/s//{{ "debug": true, "debug": false,/\' /root/right > {}'
    ),
    "runtimes twice, which add up": (
        'sed \'0,/{{/s//{{ "runtimes": {{"mine": {{"path": "\\/usr\\/bin\\/true"}}}},/\''
        " /root/right > {}"
    ),
    "null for nothing": 'sed \'0,/{{/s//{{ "debug": null, "labels": null,/\' /root/right > {}',
    "half a character": 'sed \'0,/{{/s//{{ "labels": ["a=\\\\ud800"],/\' /root/right > {}',
    "a link": "cp /root/right /srv/d.json; ln -sfn /srv/d.json {}",
}
MARKED = {"a byte order mark", "UTF-16"}  # which dockerd reads from 23.0 on


def test_what_dockerd_accepts_is_read_as_dockerd_reads_it() -> None:
    """dockerd is the judge: where it starts with a file that says what is wanted, all holds."""
    passes.shell(f"cp -a {FILE} /root/right")
    for name, script in ACCEPTED.items():
        passes.shell(f"rm -f {FILE}; {script.format(FILE)}; cp -a {FILE} /root/theirs")
        starts = passes.host.run(f"{RESTART} 2>&1", check=False).rc == 0
        assert starts is (name not in MARKED or len(packages) == 2), name  # Debian 12 has 20.10
        found = passes.plan(deployed)
        if starts:
            assert all_hold(found), name
        else:
            assert "byte order mark" in found["docker.daemon-config"].reason, name
        passes.shell(f"cmp {FILE} /root/theirs")
    passes.shell(f"rm -f {FILE}; cp -a /root/right {FILE}; {RESTART}")


OTHER = "/etc/docker/other.json"


def test_the_file_that_dockerd_is_started_with_is_the_one_that_counts() -> None:
    """A drop-in that names another daemon.json, and one that systemd has not read."""
    before = passes.look(f"cat {FILE}")
    passes.host.write(OTHER, "{}\n")
    _flags(f"\\\n  --config-file={OTHER}")
    told = passes.plan(deployed)
    assert OTHER in told["docker.daemon-config"].will
    assert all_hold(passes.up(deployed, {"docker.daemon-config"}))
    assert "nvidia" in passes.shell("docker info --format '{{json .Runtimes}}'")
    assert "nvidia" in passes.shell(f"cat {OTHER}")
    assert passes.look(f"cat {FILE}") == before
    passes.shell(f"rm {OTHER}")
    assert f"dockerd with {OTHER}" in passes.plan(deployed)["docker.daemon-config"].reason
    passes.shell(f"rm {DROP_IN}; systemctl daemon-reload")
    running = passes.plan(deployed)["docker.running-config"]
    assert OTHER in running.actual, "the daemon that runs was started with the other"
    assert all_hold(passes.up(deployed, {"docker.running-config"}))
    passes.host.write(DROP_IN, "[Service]\nEnvironment=A=b\n")
    assert all_hold(passes.up(deployed, {"docker.service"})), "systemd reads the drop-in"
    passes.shell(f"rm {DROP_IN}; systemctl daemon-reload")


DROP_IN = "/etc/systemd/system/docker.service.d/flags.conf"


def _flags(flags: str) -> None:
    start = passes.shell("sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/docker.service").strip()
    passes.host.write(DROP_IN, f"[Service]\nExecStart=\nExecStart={start} {flags}\n")
    passes.shell("systemctl daemon-reload")


def test_a_key_that_is_wished_for_and_a_flag_is_found_before_dockerd_refuses_it() -> None:
    """Both places are named, the daemon goes on running, and nothing is written."""
    before = passes.look(f"cat {FILE}")
    passes.host.write(FILE, "{}")
    _flags("--log-opt max-size=3m")

    found = passes.up(deployed)

    for promise in ("docker.daemon-config", "docker.running-config"):
        assert found[promise].verdict is Verdict.UNKNOWN
        assert (
            f"rig_docker_daemon sets log-opts, which is also a flag in {DROP_IN}"
            in found[promise].reason
        )
    assert passes.look(f"cat {FILE}") == "{}"
    passes.shell(f"rm {DROP_IN}; systemctl daemon-reload; systemctl is-active docker.service")
    passes.host.write(FILE, before)


def test_runtimes_may_be_flags_as_well() -> None:
    """dockerd adds up runtimes of both places, so that they are no conflict."""
    _flags("--add-runtime mine=/usr/sbin/runc")
    passes.shell(RESTART)

    assert all_hold(passes.up(deployed))

    told = json.loads(passes.look("docker info --format '{{json .Runtimes}}'"))
    assert {"mine", "nvidia"} <= told.keys()
    passes.shell(f"rm {DROP_IN}; systemctl daemon-reload; {RESTART}")


def test_a_mask_stays_until_docker_is_named() -> None:
    """Somebody masked it on purpose: that is told, and taken back where Docker is asked for."""
    units = "docker.service docker.socket"
    passes.shell(f"systemctl stop {units}; systemctl mask {units}")

    def masked() -> None:
        docker.service(unmask=False)
        docker.running_config(keys=keys, unmask=False)

    found = passes.up(masked)

    for promise in ("docker.service", "docker.running-config"):
        assert found[promise].verdict is Verdict.DUE
        assert "are masked; run systemctl unmask docker." in found[promise].reason
    assert passes.look("systemctl is-enabled docker.service || :").strip() == "masked"
    assert "unmask" in passes.plan(deployed)["docker.service"].will
    assert all_hold(passes.up(deployed))


def test_a_value_that_dockerd_refuses_never_replaces_the_file() -> None:
    """dockerd judges the new text before it takes the old one's place, where it can."""
    before = passes.look(f"cat {FILE}")
    can_check = "--validate" in passes.look("dockerd --help")  # since 23.0

    def nonsense() -> None:
        docker.daemon_config(keys={"nonsense": 1})

    if can_check:
        with pytest.raises(HostError, match="nonsense"):
            passes.link.apply(nonsense)

    assert can_check is (packages != SUITES["bookworm"][0])
    assert passes.look(f"cat {FILE}") == before
    assert "gpurig-new" not in passes.look("ls /etc/docker")


def test_a_running_container_outlives_the_repair(lab: Lab) -> None:
    """With a container running the daemon is reloaded; what needs a restart is due, by name."""
    lab.import_base_image(passes.host, "base")
    passes.shell(f'echo \'{{"log-opts": {{"max-size": "5m"}}}}\' > {FILE}; {RESTART}')
    container = passes.shell("docker run --detach --name mine base sleep 1000").strip()

    found = passes.up(deployed)

    assert passes.look("docker ps --no-trunc --quiet").split() == [container]
    assert "nvidia" in passes.look("docker info --format '{{json .Runtimes}}'")
    if "features" in keys:
        assert found["docker.running-config"].verdict is Verdict.DUE
        assert "1 running container" in found["docker.running-config"].reason
    else:
        assert all_hold(found)
    passes.shell("docker rm --force mine")
    assert all_hold(passes.up(deployed)), "once nothing runs, a restart is harmless"


def test_killed_before_the_restart_it_is_taken_up_again() -> None:
    """Between writing daemon.json and the restart nothing is forgotten."""
    passes.shell(f"echo '{{}}' > {FILE}; {RESTART}; systemctl reset-failed docker.service")

    def killed() -> None:
        docker.daemon_config(keys=keys)

    passes.link.apply(killed)

    assert all_hold(passes.up(deployed, {"docker.running-config"}))


def test_after_a_reboot_it_holds() -> None:
    """The record of what the daemon took is gone, and nothing needs to be done."""
    passes.host.reboot()
    passes.link.reopen()

    assert all_hold(passes.plan(deployed))


def test_users_come_into_the_group_docker() -> None:
    """Who is in holds, who has an older session must log in again, who is not there is unknown."""
    passes.shell("useradd --create-home alice")

    def allowed() -> None:
        docker_group.docker_group(users=("root", "alice"))

    def unheard_of() -> None:
        docker_group.docker_group(users=("nobody-here",))

    assert passes.drifted(allowed) == {"users.docker-group"}
    passes.shell("systemd-run --uid=alice --unit=old sleep 300")
    assert passes.up(allowed)["users.docker-group"].verdict is Verdict.DUE
    passes.shell("systemctl stop old.service")
    assert all_hold(passes.plan(allowed))
    passes.repaired(allowed, "gpasswd -d alice docker", {"users.docker-group"})
    assert passes.shell("runuser -u alice -- docker info --format '{{.ID}}'").strip()

    found = passes.plan(unheard_of)["users.docker-group"]

    assert found.verdict is Verdict.UNKNOWN
    assert "nobody-here" in found.reason


def test_a_group_docker_that_was_removed_is_made_again() -> None:
    """Nothing else makes it once Docker is installed; socket and users have it again."""

    def both() -> None:
        socket.socket()
        docker_group.docker_group(users=("root",))

    passes.repaired(both, "groupdel docker", {"docker.socket", "users.docker-group"})
    assert passes.shell("stat -c '%a %G' /run/docker.sock").split() == ["660", "docker"]


@pytest.mark.parametrize("user", ["ada@corp.example.com", "CORP\\carl", "a" * 32 + "-long"])
def test_an_account_of_a_directory_is_one_like_any_other(user: str) -> None:
    """The host's own database knows it, whatever its name; what it says of it is read rightly."""
    line = f"{user}:x:4242:4242::/home/directory:/bin/bash"
    passes.shell(
        f"printf '%s\\n' {shlex.quote(line)} >> /etc/passwd;"
        f" printf '%s\\n' {shlex.quote(f'{user}:1:65536')} > /etc/subuid;"
        " mkdir -p /home/directory/.docker;"
        ' echo \'{"currentContext": "mine"}\' > /home/directory/.docker/config.json'
    )

    def allowed() -> None:
        docker_group.docker_group(users=(user,))

    try:
        found = passes.link.plan(lambda: read(DockerContexts, users=user)).answer
        owner = passes.link.plan(lambda: read(RootlessOwner, user=user)).answer
        assert passes.drifted(allowed) == {"users.docker-group"}
        assert all_hold(passes.up(allowed))
    finally:
        passes.shell(
            "sed -i /:4242:4242:/d /etc/passwd; rm -r /home/directory;"
            " sed -i 's/^\\(docker:.*:\\).*/\\1/' /etc/group"
        )
    assert [one["user"] for one in found] == [user]
    assert owner["subuids"] == 65536


def test_a_snap_is_named_and_nothing_is_changed() -> None:
    """Docker from a snap has another daemon.json: all that is said is why."""
    passes.shell("mkdir -p /snap/bin; cp /bin/true /snap/bin/docker")

    found = passes.up(deployed)

    assert all(one.verdict is Verdict.UNKNOWN for one in found.values())
    passes.shell("rm -r /snap")
