"""Bad input: one sentence, exit 2, nothing changed, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.hosts import Host
from system.person import Answer, Person


def _one_sentence(answer: Answer) -> str:
    assert answer.code == 2, answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
    (sentence,) = answer.err.strip().splitlines()
    return sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such inventory"),
        ("", "no host"),
        ("hosts = []\n", "no host"),
        ("hosts = [\n", "line 1"),
        ("hosts = [1/0]\n", "division by zero"),
        ("hosts = [('a', {'rig_framework': ['tensorflow']})]\n", "rig_frameworks"),
        ("hosts = [('a', {'rig_users': 3})]\n", "rig_users"),
        ("hosts = [('a', {'rig_driver_flavour': 'opne'})]\n", "open"),
        ("hosts = [('a', {'rig_images': ['x']})]\n", "not available in this version"),
        ("hosts = ['@docker/x']\n", "@docker"),
    ],
)
def test_a_broken_inventory(somebody: Person, text: str | None, said: str) -> None:
    """What is wrong, where, and what to do; found before any host is contacted."""
    file = somebody.home / "inventory.py"
    if text is not None:
        file.write_text(text)
    for verb in ("up", "plan", "verify", "facts", "resolve"):
        sentence = _one_sentence(somebody.gpurig(verb, file))
        assert said.lower() in sentence.lower(), sentence
        assert "inventory.py" in sentence


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("rig_usres=ann", "rig_users"),
        ("rig_reboot=sometimes", "if-needed"),
        ("nonsense", "nonsense has no value"),
        ("rig_assume_gpu=H100", "10de:"),
    ],
)
def test_a_wrong_setting_on_the_command_line(somebody: Person, wish: str, said: str) -> None:
    """--set is checked like an inventory."""
    assert said in _one_sentence(somebody.gpurig("plan", "@local", "--set", wish))


def test_json_errors_have_the_frame(somebody: Person) -> None:
    """A machine reads the same sentence from the frame's errors."""
    answer = somebody.gpurig("plan", "missing.py", "--json")
    assert answer.code == 2
    assert answer.json["hosts"] == {}
    assert answer.json["errors"][0]["where"].endswith("missing.py")


def test_a_name_that_does_not_resolve(somebody: Person) -> None:
    """As the only host: exit 2, and the name is in the sentence."""
    answer = somebody.gpurig("plan", "no-such-host.invalid")
    assert answer.code == 2
    assert "no-such-host.invalid does not resolve" in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.lab
class TestHostKeys:
    """Keys of hosts and of users, on a booted host."""

    @pytest.fixture(scope="class")
    def host(self, boot: Callable[..., Host]) -> Host:
        return boot("trixie", "keys")

    @staticmethod
    def _data(host: Host, person: Person) -> dict[str, Any]:
        return host.ssh_data() | {"ssh_known_hosts_file": str(person.home / "known_hosts")}

    def test_a_new_key_is_shown_and_trusted_after_a_yes(self, host: Host, somebody: Person) -> None:
        """The fingerprint is the host's own; `trust` writes it and the next run gets in."""
        inventory = somebody.inventory({"keys": self._data(host, somebody)})
        own = host.ssh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[1]
        answer = somebody.gpurig("facts", inventory)
        assert answer.code == 2
        assert own in answer.out
        assert "gpurig trust keys" in answer.out
        assert somebody.gpurig("trust", inventory).code == 2, "nobody was there to say yes"
        trusted = somebody.gpurig("trust", inventory, "-y")
        assert trusted.code == 0, trusted.err
        assert own in trusted.out
        assert somebody.gpurig("facts", inventory).code == 0

    def test_a_changed_key_stops(self, host: Host, somebody: Person) -> None:
        """Both fingerprints and how to remove the old one; never written over."""
        other = "AAAAC3NzaC1lZDI1NTE5AAAAIGQ0Y2ZkNDM2ZDQ0Y2ZkNDM2ZDQ0Y2ZkNDM2ZDQ0Y2Zk"
        file = somebody.home / "known_hosts"
        file.write_text(f"{host.address} ssh-ed25519 {other}\n")
        inventory = somebody.inventory({"keys": self._data(host, somebody)})
        for verb in ("plan", "trust"):
            answer = somebody.gpurig(verb, inventory)
            told = answer.out + answer.err
            assert answer.code in (1, 2)
            assert len(set(re.findall(r"SHA256:\S{43}", told))) == 2, told
            assert f"ssh-keygen -R {host.address}" in told
        assert file.read_text() == f"{host.address} ssh-ed25519 {other}\n"

    def test_a_refused_key_is_one_sentence(self, host: Host, somebody: Person) -> None:
        """The user and what was refused."""
        data = host.ssh_data() | {"ssh_user": "nobody-there"}
        answer = somebody.gpurig("plan", somebody.inventory({"keys": data}))
        assert answer.code == 2
        assert "refuses the key for user nobody-there" in answer.out

    def test_two_runs_at_once(self, host: Host, somebody: Person, tmp_path: Path) -> None:
        """The second is told who is at work there."""
        holder = (
            "exec 9>>/run/lock/gpurig.lock; flock 9; echo 'ann on desk' > /run/lock/gpurig.lock"
        )
        host.ssh(f"nohup sh -c '{holder.replace(chr(39), chr(34))}; sleep 60' >/dev/null 2>&1 &")
        data = host.ssh_data() | {"rig_components": ["docker"]}
        answer = somebody.gpurig("up", somebody.inventory({"keys": data}))
        assert answer.code == 1
        assert "ann on desk" in answer.out
