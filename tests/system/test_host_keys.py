"""Keys of hosts and of users, and the host's lock, on a booted host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from gpurig.hosts import host_lock
from lab.hosts import Host
from system.person import Person

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    return boot("trixie", "keys")


def _data(host: Host, person: Person) -> dict[str, Any]:
    return host.ssh_data() | {"ssh_known_hosts_file": str(person.home / "known_hosts")}


def test_a_new_key_is_shown_and_trusted_after_a_yes(host: Host, somebody: Person) -> None:
    """The fingerprint is the host's own; `trust` writes it and the next run gets in."""
    inventory = somebody.inventory({"keys": _data(host, somebody)})
    own = host.ssh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[1]
    answer = somebody.gpurig("facts", inventory)
    assert answer.code == 2
    assert own in answer.out
    assert f"gpurig trust {inventory} --limit keys" in " ".join(answer.out.split())
    assert somebody.gpurig("trust", inventory).code == 2, "nobody was there to say yes"
    trusted = somebody.gpurig("trust", inventory, "-y")
    assert trusted.code == 0, trusted.err
    assert own in trusted.out
    assert somebody.gpurig("facts", inventory).code == 0


def test_a_changed_key_stops(host: Host, somebody: Person) -> None:
    """Both fingerprints and how to remove the old one; never written over."""
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIGQ0Y2ZkNDM2ZDQ0Y2ZkNDM2ZDQ0Y2ZkNDM2ZDQ0Y2Zk"
    file = somebody.home / "known_hosts"
    file.write_text(f"{host.address} ssh-ed25519 {other}\n")
    inventory = somebody.inventory({"keys": _data(host, somebody)})
    for verb in ("plan", "trust"):
        answer = somebody.gpurig(verb, inventory)
        told = answer.out + answer.err
        assert answer.code in (1, 2)
        assert len(set(re.findall(r"SHA256:\S{43}", told))) == 2, told
        assert f"ssh-keygen -R {host.address}" in told
    assert file.read_text() == f"{host.address} ssh-ed25519 {other}\n"


def test_a_revoked_key_stops(host: Host, somebody: Person) -> None:
    """Although the same file has the key as a good one, before; also in JSON, and for `trust`."""
    own = host.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    text = f"{host.address} {' '.join(own)}\n@revoked * {' '.join(own)}\n"
    file = somebody.home / "known_hosts"
    file.write_text(text)
    inventory = somebody.inventory({"keys": _data(host, somebody)})
    told = somebody.gpurig("plan", inventory, "--json")
    assert [error["code"] for error in told.json["errors"]] == ["host-key-revoked"]
    answer = somebody.gpurig("trust", inventory, "-y")
    assert answer.code == 1
    assert "is revoked" in answer.err
    assert file.read_text() == text


def test_a_host_that_an_authority_vouches_for_is_trusted_by_its_key(
    host: Host, somebody: Person
) -> None:
    """A real certificate of sshd's: it is said that none is verified; then the key is trusted."""
    host.run(
        "cd /etc/ssh && ssh-keygen -qt ed25519 -N '' -f ca && ssh-keygen -qs ca -I keys -h"
        f" -n {host.address} ssh_host_ed25519_key.pub"
        " && echo HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub > sshd_config.d/ca.conf"
        " && systemctl reload ssh"
    )
    authority = host.read("/etc/ssh/ca.pub")
    (somebody.home / "known_hosts").write_text(f"@cert-authority * {authority}")
    inventory = somebody.inventory({"keys": _data(host, somebody)})
    answer = somebody.gpurig("facts", inventory)
    assert answer.code == 2
    assert "known_hosts has only a certificate authority for" in answer.out
    assert somebody.gpurig("trust", inventory, "-y").code == 0
    assert somebody.gpurig("facts", inventory).code == 0


def test_a_refused_key_is_one_sentence(host: Host, somebody: Person) -> None:
    """The user and what was refused."""
    data = host.ssh_data() | {"ssh_user": "nobody-there"}
    answer = somebody.gpurig("plan", somebody.inventory({"keys": data}))
    assert answer.code == 2
    assert "refuses the key of user nobody-there" in answer.out


def test_two_runs_at_once(host: Host, somebody: Person) -> None:
    """The second is told who is at work there; a user of the host can hold up nobody."""
    host.run("useradd bob")
    data = host.ssh_data() | {"rig_components": ["docker"]}
    beats = "for n in $(seq 60); do echo; sleep 1; done"  # a run that is alive
    hold = f"{beats} | sh -c {shlex.quote(host_lock.script('ann on desk'))}"
    host.ssh(f"nohup sh -c {shlex.quote(hold)} >/dev/null 2>&1 &")
    answer = somebody.gpurig("up", somebody.inventory({"keys": data}))
    assert answer.code == 1
    assert "ann on desk" in answer.out
    assert host.run("stat -c %a:%U /run/gpurig.lock").stdout == "600:root\n"
    tried = host.run("runuser -u bob -- flock -n /run/gpurig.lock true", check=False)
    assert "Permission denied" in tried.stderr


def test_a_shell_that_prints_by_itself(host: Host, somebody: Person) -> None:
    """A .bashrc with a line, a title and half a line: facts, lock and folder are what they are."""
    host.run("printf '%s\\n' 'echo hello' 'printf \"\\033]0;t\\007half a line\"' > /root/.bashrc")
    data = host.ssh_data() | {"rig_components": ["docker"]}
    answer = somebody.gpurig("plan", somebody.inventory({"keys": data}))
    host.run("rm /root/.bashrc")
    assert answer.code == 3, answer.out
    assert "hello" not in answer.out
