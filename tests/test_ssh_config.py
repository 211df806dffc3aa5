"""ssh_config as OpenSSH reads it, and one sentence with file and line where it is at fault."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
import pytest

from gpurig.engine.runner import Link, prepare_engine
from gpurig.errors import HostError
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.ssh_config import Jump, UnusableConfig, ask
from ssh_server import key_file, serving

# What stands in the file, and then what is asked of it: an attribute and its value.
CASES: dict[str, tuple[str, str, Any]] = {
    "a bastion without a way of its own": (
        "Host bastion\n ProxyJump none\nHost *\n ProxyJump root@bastion\n", "jumps",
        (Jump("bastion", "root"),),
    ),
    "several hops": (
        "Host gpu01\n ProxyJump a,ada@b:2222,[::1]:22\n", "jumps",
        (Jump("a"), Jump("b", "ada", 2222), Jump("::1", "", 22)),
    ),
    "a program that says no": ('Match exec "exit 1"\n Port 2222\nHost *\n Port 23\n', "port", 23),
    "a program that says yes": ('Match exec "test %n = gpu01"\n Port 2222\n', "port", 2222),
    "another user": ("Match user ada\n Port 2222\n", "port", 22),
    "a pattern that is negated": ("Host * !gpu01\n Port 2222\n", "port", 22),
    "words in quotes, an equals sign": ('Host "gpu01"\nPort = 2222\n', "port", 2222),
    "the first value counts": ("Host gpu01\n Port 1\nHost *\n Port 2\n", "port", 1),
    "the host's name in its address": ("HostName %h.example.com\n", "host", "gpu01.example.com"),
    "no key at all": ("IdentityFile none\n", "keys", ()),
    "keys by name": ("IdentityFile ~/k/%h\nIdentityFile /k\n", "keys", ("~/k/%h", "/k")),
    "a comment behind a value": ("Port 2222 # ours\n", "port", 2222),
    "Windows's ends of lines": ("Host gpu01\r\n Port 2222\r\n", "port", 2222),
    "an option that may be unknown": ("IgnoreUnknown X*\nXy yes\nPort 2222\n", "port", 2222),
    "another file": ("Include included\n", "port", 2222),
    "files by a pattern": ("Include incl*\n", "port", 2222),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "value"), CASES.values(), ids=CASES)
def test_what_ssh_does_is_done(tmp_path: Path, text: str, name: str, value: Any) -> None:
    """Its own answer is taken, whatever stands in the file."""
    (tmp_path / "config").write_text(text.replace("Include ", f"Include {tmp_path}/"))
    (tmp_path / "included").write_text("Port 2222\n")
    assert getattr(ask("gpu01", file=str(tmp_path / "config")), name) == value


def test_another_network_s_lines_are_not_applied(tmp_path: Path) -> None:
    """Either ssh knows what they mean, or the line is named; they never count for this one."""
    (tmp_path / "config").write_text("Match localnetwork 192.0.2.0/24\n Port 2222\n")
    said = ""
    try:
        port = ask("gpu01", file=str(tmp_path / "config")).port
    except UnusableConfig as error:  # older than OpenSSH 9.4
        port, said = 0, error.what
    assert port == 22 or f"{tmp_path}/config line 1" in said


def test_tokens_are_filled(tmp_path: Path) -> None:
    """In names of files and in commands, as ssh fills them."""
    (tmp_path / "config").write_text("HostName 192.0.2.7\nUser ada\nPort 23\nHostKeyAlias alias\n")
    options = ask("gpu01", file=str(tmp_path / "config"))
    assert options.filled("%h %n %p %r %k %% %i") == f"192.0.2.7 gpu01 23 ada alias % {os.getuid()}"


WRONG = {
    "an unknown option": ("Port 22\nProxyJmp b\n", "line 2: Bad configuration option: proxyjmp"),
    "no value": ("Host gpu01\n User\n", "line 2"),
    "a port that is none": ("Host gpu01\n\n Port many\n", "line 3"),
    "an end of quotes that lacks": ('Host gpu01\n IdentityFile "/k\n', "line 2"),
    "in another file": ("Include included\n", "included: line 1: Bad configuration option: wrong"),
}  # fmt: skip


def _opened(file: Path, **data: Any) -> None:
    prepare_engine()
    Link(HostSpec.of("gpu01", "ssh", "gpu01", {"ssh_config_file": str(file), **data})).open()


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """With its line, as ssh names it; nobody is sent to look whether the host is up."""
    (tmp_path / "config").write_text(text.replace("Include ", f"Include {tmp_path}/"))
    (tmp_path / "included").write_text("Wrong yes\n")
    with pytest.raises(HostError) as error:
        _opened(tmp_path / "config")
    assert error.value.code == "ssh-config"
    assert said in error.value.what
    assert str(tmp_path) in error.value.what
    assert "is up" not in str(error.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """Where the inventory names one."""
    with pytest.raises(HostError, match=r"refuses its configuration \(.*nothing.*No such file"):
        _opened(tmp_path / "nothing")


def test_a_program_that_does_not_end_is_named(tmp_path: Path) -> None:
    """What Match exec runs is waited for as long as a connection is."""
    (tmp_path / "config").write_text('Match exec "sleep 60"\n Port 23\n')
    began = time.monotonic()
    with pytest.raises(HostError, match=r"ssh -G gpu01 does not end within 1 s; .* Match exec"):
        _opened(tmp_path / "config", rig_limits={"connect": 1})
    assert time.monotonic() - began < 10


TWO = "Host gpu01 b\n ProxyJump a\nHost a\n ProxyJump b\n"
CIRCLES = {
    "itself": ("Host *\n ProxyJump gpu01\n", "jumphost loop via gpu01"),
    "two": (TWO, "circle .gpu01 -> a -> b -> a"),
    "a bastion for all": ("Host *\n ProxyJump root@bastion\n", "jumphost loop via bastion"),
}


@pytest.mark.parametrize(("text", "said"), CIRCLES.values(), ids=CIRCLES)
def test_a_way_that_leads_in_a_circle_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Also where ssh itself sees no loop; with how to end it."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(HostError, match=f"{said}.; give .* a `ProxyJump none` of its own"):
        _opened(tmp_path / "config")


def test_a_way_over_two_bastions_is_taken(tmp_path: Path) -> None:
    """Each hop with its own address, port and user; the bastion's own `none` counts."""
    keys = [key_file(tmp_path, name) for name in ("a", "b", "c")]
    with serving(keys[0]) as a, serving(keys[1]) as b, serving(keys[2]) as c:
        (tmp_path / "config").write_text(
            f"Host a\n Port {a.port}\n ProxyJump none\nHost b\n Port {b.port}\n ProxyJump none\n"
            f"Host gpu01\n Port {c.port}\nHost *\n HostName 127.0.0.1\n ProxyJump root@a,b\n"
            f" IdentityFile {tmp_path}/c\n"
        )
        known = tmp_path / "known_hosts"
        known.write_text("".join(f"{one.name} {one.words}\n" for one in (a, b, c)))
        _opened(tmp_path / "config", ssh_known_hosts_file=str(known), ssh_password="x")


_RELAY = """#!{python}
import os, socket, sys, threading
host, port, words = sys.argv[1:]
assert words == "x y"
there = socket.create_connection((host, int(port)))
def back():
    while data := there.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back).start()
while data := os.read(0, 65536):
    there.sendall(data)
os._exit(0)
"""


def test_a_program_leads_to_the_host(tmp_path: Path) -> None:
    """With blanks in its path and in its words, tokens, and what the shell makes of it."""
    relay, known = tmp_path / "a relay", tmp_path / "known_hosts"
    relay.write_text(_RELAY.replace("{python}", sys.executable))
    relay.chmod(0o755)
    with serving(key_file(tmp_path, "a")) as a:
        known.write_text(f"{a.name} {a.words}\n")
        (tmp_path / "config").write_text(
            f"HostName 127.0.0.1\nPort {a.port}\n"
            f"ProxyCommand '{relay}' \"%h\" $(echo %p) 'x y' 2>/dev/null\n"
        )
        _opened(tmp_path / "config", ssh_known_hosts_file=str(known), ssh_password="x")


def test_a_program_may_say_much(tmp_path: Path) -> None:
    """More than a pipe takes, on its standard error, which nobody reads elsewhere."""
    relay, known = tmp_path / "relay", tmp_path / "known_hosts"
    relay.write_text(_RELAY.replace("{python}", sys.executable))
    relay.chmod(0o755)
    with serving(key_file(tmp_path, "a")) as a:
        known.write_text(f"{a.name} {a.words}\n")
        says = "head -c 300000 /dev/zero | tr '\\0' x >&2"
        (tmp_path / "config").write_text(
            f"HostName 127.0.0.1\nPort {a.port}\nProxyCommand {says}; exec {relay} %h %p 'x y'\n"
        )
        _opened(tmp_path / "config", ssh_known_hosts_file=str(known), ssh_password="x")


def test_the_line_that_counts_is_named(tmp_path: Path) -> None:
    """Not another host's, which stands before it."""
    (tmp_path / "config").write_text(
        "Host other\n ProxyCommand sh -c 'exit 7'\nHost gpu01\n HostName 192.0.2.1\n"
        " ProxyCommand sh -c 'exit 3'\n"
    )
    with pytest.raises(HostError, match="config line 5: ProxyCommand ends with exit status 3"):
        _opened(tmp_path / "config", rig_limits={"connect": 3})


@pytest.fixture
def without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control machine on which no ssh is installed."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "config"


def test_without_ssh_a_plain_file_is_read(without_ssh: Path) -> None:
    """Addresses, ports, users and keys; and none is needed."""
    assert ask("gpu01", file=str(without_ssh)).host == "gpu01"
    without_ssh.write_text("Host gpu01\n HostName 192.0.2.7\n Port 23\n ProxyJump ada@a\n")
    options = ask("gpu01", file=str(without_ssh))
    assert (options.host, options.port, options.jumps) == ("192.0.2.7", 23, (Jump("a", "ada"),))


@pytest.mark.parametrize(
    "line", ["Match localnetwork ::/0", "ProxyJump none", "CanonicalizeHostname yes", "mAtch all"]
)
def test_without_ssh_what_only_ssh_knows_is_named(without_ssh: Path, line: str) -> None:
    """File and line, and that ssh is missing; never a guess."""
    without_ssh.write_text(f"Host bastion\n Port 22\n{line}\n")
    with pytest.raises(UnusableConfig, match=f"{without_ssh}, line 3: without ssh") as error:
        ask("gpu01", file=str(without_ssh))
    assert "install ssh" in error.value.do


def test_a_run_that_ends_waits_for_no_program_of_ssh_config(tmp_path: Path) -> None:
    """Ctrl-C ends what Match exec runs, which is in a session of its own."""
    began = tmp_path / "began"
    (tmp_path / "config").write_text(f'Match exec "touch {began}; sleep 60"\n Port 23\n')
    asking = gevent.spawn(ask, "gpu01", "", 0, str(tmp_path / "config"), 50)
    while not began.exists():
        gevent.sleep(0.05)
    asking.kill(block=False)
    asking.join(20)
    assert asking.dead


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("sh -c 'sleep 1; echo no way to %h >&2; exit 3'", "status 3: no way to 192.0.2.1; check"),
        # Its output ends before it does: as any program's, when a processor is busy.
        ("sh -c 'exec >&-; sleep 0.2; echo no way >&2; exit 3'", "status 3: no way; check"),
        ("sh -c 'sleep 600 & echo half a word >&2; wait'", "no SSH connection to gpu01"),
    ],
)
def test_a_program_that_leads_nowhere_ends(tmp_path: Path, program: str, said: str) -> None:
    """One that ends late is named; one that says nothing is waited for as any host is."""
    (tmp_path / "config").write_text(f"HostName 192.0.2.1\nProxyCommand {program}\n")
    with pytest.raises(HostError) as error:
        _opened(tmp_path / "config", rig_limits={"connect": 3})
    assert said in str(error.value)
