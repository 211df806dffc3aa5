"""Hosts as other people set them up: their login shells, profiles, banners, sudo and languages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lab.hosts import Host
from system.person import Person

pytestmark = pytest.mark.lab

# All ways to talk with a host: a command, facts, a file that is sent, a dialogue, the lock.
_TALK = """
from gpurig.hosts import greenlets
greenlets.patch()
import json, sys
from io import BytesIO
from pyinfra.api import StringCommand
from gpurig.engine.runner import Link, prepare_engine
from gpurig.errors import GpurigError
from gpurig.hosts.connector import reading_fact
from gpurig.hosts.exchange import Room, lines
from gpurig.hosts.inventory import HostSpec
prepare_engine()
link = Link(HostSpec.of("gpu01", "ssh", "gpu01", json.loads(sys.argv[1])))
try:
    link.open()
    link.lock("ann")
    script = "id -u; umask; locale | sed -n 's/LC_ALL=//p'; printf %s it\\\\'s; exit 3"
    code, output = link.run(script)
    said = [code, *output.stdout_lines]
    host = link._state(executing=True)[1]
    root = {key: link.data[key] for key in ("_sudo", "_sudo_password") if key in link.data}
    assert host.connector.put_file(BytesIO(b"a file"), "/root/uploaded", **root)
    facts = [StringCommand("cat /root/uploaded"), StringCommand("command -v modprobe")]
    host.connector.prefetch(facts, root)
    said += [line for ok, answer in host.connector.facts.values() for line in answer.stdout_lines]
    talk = link.begin("while read -r line; do echo heard $line; done")
    talk.stdin.write(b"one\\n")
    talk.stdin.flush()
    said.append([line for line in [next(lines(talk.out, Room(1e6)))]])
    talk.close()
except GpurigError as error:
    said = str(error)
link.close()
print(json.dumps(said))
"""
RIGHT = [3, "0", "0022", "C", "it's", "a file", "/usr/sbin/modprobe", ["heard one"]]


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """A host with all kinds of shells; root, and two users who may use sudo."""
    there = boot("trixie", "shells")
    there.run(
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install"
        " --no-install-recommends tcsh csh fish zsh ksh kmod locales >/dev/null 2>&1;"
        " echo de_DE.UTF-8 UTF-8 > /etc/locale.gen; locale-gen >/dev/null;"
        " useradd -m -s /bin/bash ada; useradd -m -s /bin/bash bea;"
        " cp /root/.ssh/authorized_keys /etc/ssh/all_keys;"
        " chmod 644 /etc/ssh/all_keys; echo bea:secret | chpasswd;"
        " echo AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/all_keys"
        " > /etc/ssh/sshd_config.d/keys.conf; systemctl reload ssh;"
        " printf 'ada ALL=(ALL) NOPASSWD: ALL\\nbea ALL=(ALL) ALL\\n' > /etc/sudoers.d/users"
    )
    return there


def _talk(host: Host, **data: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _TALK, json.dumps(host.ssh_data() | data)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


CONFIG_FISH = ".config/fish/config.fish"
SHELLS: dict[str, tuple[str, str, str]] = {
    "bash that prints": ("bash", ".bashrc", "echo hello"),
    "bash with a title": ("bash", ".bashrc", "printf '\\033]0;title\\007half a line'"),
    "bash that reads a line": ("bash", ".bashrc", "read -r name"),
    "bash with a trap": ("bash", ".bashrc", "trap 'echo bye; exit 9' EXIT"),
    "bash that shows what it runs": ("bash", ".bashrc", "set -x"),
    "bash with German": ("bash", ".bashrc", "export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8"),
    "bash without a PATH": ("bash", ".bashrc", "export PATH=/nowhere"),
    "bash with a umask": ("bash", ".bashrc", "umask 077"),
    "bash with somebody's Python": ("bash", ".bashrc", "export PYTHONPATH=/opt/ros PYTHONHOME=/x"),
    "dash": ("dash", ".profile", "echo hello"),
    "zsh with aliases": ("zsh", ".zshenv", "echo hello; alias sh=false printf=false"),
    "tcsh": ("tcsh", ".cshrc", "echo hello; alias sh false"),
    "csh": ("bsd-csh", ".cshrc", "echo hello"),
    "fish": ("fish", CONFIG_FISH, "echo hello"),
    "ksh": ("ksh93", ".kshrc", "echo hello"),
}


@pytest.mark.parametrize("user", ["root", pytest.param("ada", marks=pytest.mark.long)])
@pytest.mark.parametrize(("shell", "profile", "text"), SHELLS.values(), ids=SHELLS)
def test_every_login_shell_gives_the_same_answers(
    host: Host, shell: str, profile: str, text: str, user: str
) -> None:
    """Of whatever sort, and whatever its profile prints, reads and sets; as root and with sudo."""
    home = "/root" if user == "root" else f"/home/{user}"
    host.write(f"{home}/{profile}", f"{text}\n")
    host.run(f"usermod -s $(command -v {shell}) {user}")
    try:
        assert _talk(host, ssh_user=user) == RIGHT
    finally:
        host.run(f"rm {home}/{profile}; usermod -s /bin/bash {user}")


SERVERS = {
    "a banner and a message": "Banner /etc/issue\nPrintMotd yes\n",
    "a wrapper that says farewell": (
        'ForceCommand echo welcome; sh -c "$SSH_ORIGINAL_COMMAND"; echo bye\n'
    ),
    "BASH_ENV": "SetEnv BASH_ENV=/etc/bash_env\n",
    "a language": "SetEnv LC_ALL=de_DE.UTF-8\n",
}


@pytest.mark.parametrize("lines", SERVERS.values(), ids=SERVERS)
def test_what_sshd_puts_around_a_command_is_no_answer(host: Host, lines: str) -> None:
    """Banners, a forced command that prints before and after, variables, and its own rc file."""
    host.write("/etc/bash_env", "echo from BASH_ENV\n")
    host.write("/etc/ssh/sshrc", "echo from sshrc\n")
    host.write("/etc/ssh/sshd_config.d/other.conf", lines)
    host.run("systemctl reload ssh")
    try:
        assert _talk(host) == RIGHT
    finally:
        host.run("rm /etc/ssh/sshd_config.d/other.conf /etc/ssh/sshrc; systemctl reload ssh")


UNBEGUN = {
    "exit in its profile": ("exit 0", "it printed nothing"),
    "another shell in its profile": ("exec fish", "it printed nothing"),
    "a message and an exit": ("echo use the bastion >&2; exit 1", "use the bastion"),
}


@pytest.mark.parametrize(("text", "said"), UNBEGUN.values(), ids=UNBEGUN)
def test_a_shell_that_runs_nothing_is_one_sentence(
    host: Host, somebody: Person, text: str, said: str
) -> None:
    """It names the profile as the place to look at, and no way out that changes the host."""
    host.write("/root/.bashrc", f"{text}\n")
    try:
        answer = somebody.gpurig("plan", somebody.inventory({"shells": host.ssh_data()}))
    finally:
        host.run("rm /root/.bashrc")
    assert answer.code == 2, answer.out
    assert f"the login shell does not run gpurig's command ({said})" in answer.out
    assert "such as ~/.bashrc" in answer.out
    assert "install" not in answer.out


def test_an_account_without_a_shell_is_one_sentence(host: Host, somebody: Person) -> None:
    """What nologin says is in it."""
    host.run("usermod -s /usr/sbin/nologin ada")
    data = host.ssh_data() | {"ssh_user": "ada"}
    answer = somebody.gpurig("plan", somebody.inventory({"shells": data}))
    host.run("usermod -s /bin/bash ada")
    assert answer.code == 2
    assert "(This account is currently not available.)" in answer.out


SUDOERS = {
    "without secure_path": "Defaults !secure_path",
    "with another secure_path": "Defaults secure_path=/usr/bin:/bin",
    "that keeps variables": 'Defaults env_keep += "PYTHONPATH LC_ALL LANG"\nDefaults !env_reset',
    "with a lecture": "Defaults lecture=always",
    "with a umask": "Defaults umask=0077, umask_override",
}


@pytest.mark.parametrize("user", ["bea", pytest.param("ada", marks=pytest.mark.long)])
@pytest.mark.parametrize("lines", SUDOERS.values(), ids=SUDOERS)
def test_every_sudo_gives_the_same_answers(host: Host, lines: str, user: str) -> None:
    """Whatever its sudoers say of PATH, variables, lecture and umask; PAM may print as well."""
    host.write("/etc/sudoers.d/zz-other", f"{lines}\n", 0o440)
    host.run(
        "cp /etc/pam.d/sudo /root/pam; echo Your password expires tomorrow > /etc/notice;"
        " echo 'session optional pam_echo.so file=/etc/notice' >> /etc/pam.d/sudo"
    )
    host.write(f"/home/{user}/.bashrc", "export LANG=de_DE.UTF-8 PATH=/usr/bin:/bin LC_ALL=\n")
    password = {"_sudo_password": "secret"} if user == "bea" else {}
    try:
        assert _talk(host, ssh_user=user, **password) == RIGHT
    finally:
        host.run(f"mv /root/pam /etc/pam.d/sudo; rm /etc/sudoers.d/zz-other /home/{user}/.bashrc")


REFUSALS: dict[str, tuple[str, dict[str, str], str]] = {
    "no password": ("", {}, "sudo needs a password"),
    "a wrong password": ("", {"_sudo_password": "wrong"}, "sudo refuses the password"),
    "no right": ("Defaults !secure_path\nbea ALL=(ALL) !ALL", {"_sudo_password": "secret"},
                 "this user may not use sudo"),
    "a terminal": ("Defaults requiretty", {"_sudo_password": "secret"}, "requiretty"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "data", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_in_another_language_is_recognised(
    host: Host, somebody: Person, lines: str, data: dict[str, str], said: str
) -> None:
    """German in the account and in PAM: sudo is asked in C, so its words are those we know."""
    host.write("/etc/sudoers.d/zz-other", f"{lines}\n", 0o440)
    host.write("/home/bea/.bashrc", "export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LANGUAGE=de\n")
    inventory = somebody.inventory({"shells": host.ssh_data() | {"ssh_user": "bea"} | data})
    answer = somebody.gpurig("plan", inventory)
    host.run("rm /etc/sudoers.d/zz-other /home/bea/.bashrc")
    assert answer.code == 2, answer.out
    assert said in answer.out


def test_plan_and_up_on_a_host_with_tcsh(host: Host, somebody: Person) -> None:
    """From end to end: what up made right is right in the next plan."""
    host.run("usermod -s /bin/tcsh ada")
    host.write("/home/ada/.cshrc", "echo hello; set prompt='> '\n")
    data = host.ssh_data() | {"ssh_user": "ada", "rig_components": ["docker"]}
    inventory = somebody.inventory({"shells": data})
    done = somebody.gpurig("up", inventory, "-y")
    assert done.code == 0, done.out
    again = somebody.gpurig("plan", inventory, "--json")
    assert again.code == 0, again.problems
    assert again.drifted("shells") == set()
