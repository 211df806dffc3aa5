"""A user whose sudo asks for a password, on a booted Debian 13, and people who know it or not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system.person import Person, settings

pytestmark = pytest.mark.lab

WORD = "canary-right horse"
RULES = "/etc/sudoers.d/rules"
RUST = "/usr/lib/cargo/bin/sudo"


@pytest.fixture(scope="module")
def there(boot: Callable[..., Host]) -> Host:
    """Bare; ada may use sudo with her password, bob may not use it at all."""
    host = boot("trixie", "sudo13", user="ada", password=WORD)
    host.run("useradd -m -s /bin/bash bob; cp -r ~ada/.ssh ~bob; chown -R bob ~bob/.ssh")
    host.run(f"echo 'bob:{WORD}' | chpasswd")
    return host


@pytest.fixture(autouse=True)
def _rules(there: Host) -> Iterator[None]:
    """Each test begins with Debian's own rules."""
    yield
    there.run(f"rm -f {RULES} /usr/local/bin/sudo")


def _rule(host: Host, text: str) -> None:
    host.write(RULES, f"{text}\n")
    host.run(f"chmod 440 {RULES}; visudo -cq")


def _inventory(host: Host, person: Person, user: str = "ada", **data: object) -> Path:
    return person.inventory({host.name: host.ssh_data() | {"ssh_user": user} | data})


ASKED = "sudo needs the password of ada on"


@pytest.mark.parametrize(
    "verb",
    ["facts", "plan", *(pytest.param(v, marks=pytest.mark.long) for v in ("resolve", "verify"))],
)
def test_each_verb_asks(there: Host, somebody: Person, lab: Lab, verb: str) -> None:
    """Also where a fresh timestamp would do for a while; what was typed is written nowhere."""
    _rule(there, "Defaults timestamp_type=global, timestamp_timeout=15")
    there.ssh(f"printf '%s\\n' '{WORD}' | sudo -S -v", user="ada")
    assert there.ssh("sudo -n true", user="ada").rc == 0
    inventory = _inventory(there, somebody, **settings(lab))
    wrong = [(ASKED, "wrong", 0), ("refuses it", "wronger", 0), ("refuses it", WORD, 0)]
    keys = wrong if verb == "resolve" else [(ASKED, WORD, 0.0)]
    answer = somebody.on_terminal(verb, inventory, keys=keys)
    assert answer.code == {"facts": 0, "resolve": 4, "plan": 3, "verify": 1}[verb], answer.out
    assert there.ssh("sudo -n true", user="ada").rc == 0, "the user's own timestamp is ended"
    there.ssh("sudo -K", user="ada")
    assert WORD not in answer.out
    found = subprocess.run(["grep", "-rlF", WORD, somebody.home], capture_output=True, check=False)
    assert found.returncode == 1, found.stdout


def test_three_wrong_ones_are_enough(there: Host, somebody: Person) -> None:
    """Exit 2, in a word that a person knows."""
    keys = [(ASKED, "a", 0.0), ("try again", "b", 0.0), ("try again", "c", 0.0)]
    answer = somebody.on_terminal("facts", _inventory(there, somebody), keys=keys)
    assert answer.code == 2, answer.out
    assert "sudo refuses the password of ada, 3 times; check the password" in answer.out
    assert "_sudo_password" not in answer.out


def test_json_is_asked_for_its_password_as_well(there: Host, somebody: Person) -> None:
    """On the terminal, where the answer is no part of it: here both are one."""
    answer = somebody.on_terminal(
        "facts", _inventory(there, somebody), "--json", keys=[(ASKED, WORD, 0)]
    )
    told = json.loads(answer.out[answer.out.index("\n{") :])
    assert told["errors"] == []
    assert told["hosts"][there.name]["facts"]


@pytest.mark.parametrize(
    ("user", "rule", "given", "said"),
    [
        ("ada", "", None, "sudo needs a password; set _sudo_password for this host, run gpurig on"),
        ("ada", "", "wrong", "sudo refuses the password; check _sudo_password"),
        ("ada", "Defaults requiretty", WORD, "sudo there works on a terminal only (requiretty)"),
        ("ada", "Defaults:ada passwd_tries=1", "wrong", "sudo refuses the password"),
        ("ada", "Defaults rootpw", WORD, "sudo refuses the password"),
        ("bob", "", None, "sudo needs a password"),
        ("bob", "", WORD, "this user may not use sudo"),
    ],
)
def test_what_sudo_refuses_without_a_terminal(
    there: Host, somebody: Person, user: str, rule: str, given: str | None, said: str
) -> None:
    """One sentence, exit 2."""
    _rule(there, rule)
    data = {"_sudo_password": given} if given else {}
    answer = somebody.gpurig("facts", _inventory(there, somebody, user, **data))
    assert answer.code == 2, answer.out + answer.err
    assert f"error: {said}" in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize("rule", ["ada ALL=(ALL) NOPASSWD: ALL", "Defaults !authenticate"])
def test_who_needs_none_is_not_asked(there: Host, somebody: Person, rule: str) -> None:
    """On a terminal as well; nobody types here, so a question would wait for ever."""
    _rule(there, rule)
    answer = somebody.on_terminal("facts", _inventory(there, somebody), keys=[])
    assert answer.code == 0, answer.out
    assert "password" not in answer.out


def test_sudo_rs(there: Host, somebody: Person) -> None:
    """Another program, other words: who may not use it, who is asked, and a wrong one."""
    there.run("apt-get -q update; apt-get -q -y install sudo-rs")
    there.run(f"ln -sf {RUST} /usr/local/bin/sudo")
    inventory = _inventory(there, somebody)
    assert "sudo needs a password" in somebody.gpurig("facts", inventory).out
    keys = [(ASKED, "wrong", 0.0), ("refuses it", WORD, 0.0)]
    assert somebody.on_terminal("facts", inventory, keys=keys).code == 0
    wrong = _inventory(there, somebody, _sudo_password="wrong")
    assert "sudo refuses the password; check" in somebody.gpurig("facts", wrong).out
    barred = _inventory(there, somebody, "bob")
    assert "this user may not use sudo" in somebody.gpurig("facts", barred).out


def test_a_run_may_take_longer_than_sudo_remembers(there: Host, somebody: Person, lab: Lab) -> None:
    """Half a minute of sudo's, and a person who thinks for longer at the question."""
    _rule(there, "Defaults timestamp_timeout=0.5")
    inventory = _inventory(there, somebody, rig_components=["docker"], **settings(lab))
    keys = [(ASKED, WORD, 0.0), ("Change ", "y", 35.0)]
    answer = somebody.on_terminal("up", inventory, "--prove", "never", keys=keys)
    assert answer.code == 4, answer.out  # set up, and not proven
    assert "docker.packages" in answer.out
    assert answer.out.count(ASKED) == 1
