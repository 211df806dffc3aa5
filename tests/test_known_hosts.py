"""Host keys over real connections: known_hosts as OpenSSH reads it, for hosts and for hops."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from paramiko import PKey

from gpurig.hosts.client import StrictClient
from gpurig.hosts.hostkeys import (
    UnreadableKnownHosts,
    UntrustedHostKey,
    fingerprint,
    untrusted_key_error,
)
from gpurig.hosts.known_hosts import Verdict, judge, read_lines
from ssh_server import Served, key_file, serving, words


def hashed(name: str) -> str:
    """The name as ssh-keygen -H writes it."""
    salt = b"twenty bytes of salt"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of private keys."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("good", "other", "hop", "rsa", "rsa-other"):
        key_file(folder, name)
    return folder


@pytest.fixture(scope="module")
def server(keys: Path) -> Iterator[Served]:
    """The host: with an Ed25519 key and an RSA key."""
    with serving(keys / "good", keys / "rsa") as served:
        yield served


@pytest.fixture(scope="module")
def hop(keys: Path) -> Iterator[Served]:
    """The hop on the way to it."""
    with serving(keys / "hop") as served:
        yield served


@dataclass
class Files:
    """A person's ssh files: what each connection of a test is made with."""

    home: Path
    server: Served
    key: Path  # lets them in
    options: str = ""

    def write(self, user: str, everybody: str = "") -> None:
        (self.home / "known_hosts").write_text(user)
        (self.home / "ssh_known_hosts").write_text(everybody)
        (self.home / "config").write_text(
            f"Host target\n HostName 127.0.0.1\n Port {self.server.port}\n{self.options}"
            f"Host *\n User somebody\n UserKnownHostsFile {self.home}/known_hosts\n"
            f" GlobalKnownHostsFile {self.home}/ssh_known_hosts\n IdentityFile {self.key}\n"
        )

    def ours(self, **given: str) -> str:
        """gpurig's verdict."""
        client = StrictClient()
        try:
            client.connect(
                "target", _pyinfra_ssh_config_file=str(self.home / "config"), password="x",
                allow_agent=False, look_for_keys=False, timeout=20, **given,
            )  # fmt: skip
        except UntrustedHostKey as error:
            return error.answer.verdict.value
        finally:
            client.close()
        return "known"

    def theirs(self) -> str:
        """OpenSSH's."""
        done = subprocess.run(
            ["ssh", "-F", self.home / "config", "-o", "BatchMode=yes", "-o",
             "StrictHostKeyChecking=yes", "target", "true"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return "known"
        said = {"REVOKED HOST KEY DETECTED": "revoked", "revoked by file": "revoked",
                "IDENTIFICATION HAS CHANGED": "changed", "verification failed": "new"}  # fmt: skip
        return next(
            (verdict for words, verdict in said.items() if words in done.stderr), done.stderr
        )


@pytest.fixture
def files(tmp_path: Path, server: Served, keys: Path) -> Files:
    """A person's, with nothing in them."""
    # pyinfra keeps each config file that it read, by its name: a folder for each test.
    return Files(tmp_path, server, keys / "good")


# What stands in the user's file and in everybody's, and what comes of it. NAME is the host's name
# with its port, HASHED the same hashed, KEY its key, OTHER another, RSA its second.
CASES: dict[str, tuple[str, str, str]] = {
    "known": ("NAME KEY\n", "", "known"),
    "nothing": ("", "", "new"),
    "another key": ("NAME OTHER\n", "", "changed"),
    "both": ("NAME OTHER\nNAME KEY\n", "", "known"),
    "revoked after the good line": ("NAME KEY\n@revoked NAME KEY\n", "", "revoked"),
    "revoked before the good line": ("@revoked NAME KEY\nNAME KEY\n", "", "revoked"),
    "revoked and nothing else": ("@revoked NAME KEY\n", "", "revoked"),
    "revoked under a hashed name": ("NAME KEY\n@revoked HASHED KEY\n", "", "revoked"),
    "revoked for all hosts": ("NAME KEY\n@revoked * KEY\n", "", "revoked"),
    "revoked by a pattern": ("NAME KEY\n@revoked [127.*]:* KEY\n", "", "revoked"),
    "revoked in everybody's file": ("NAME KEY\n", "@revoked NAME KEY\n", "revoked"),
    "revoked in the user's, known in everybody's": ("@revoked NAME KEY\n", "NAME KEY\n", "revoked"),
    "revoked after blanks": ("NAME KEY\n \t@revoked NAME\t KEY\n", "", "revoked"),
    "revoked in a list": ("NAME KEY\n@revoked a,NAME,b KEY\n", "", "revoked"),
    "revoked with Windows's ends of lines": ("NAME KEY\r\n@revoked NAME KEY\r\n", "", "revoked"),
    "revoked without a newline": ("NAME KEY\n@revoked NAME KEY", "", "revoked"),
    "revoked elsewhere": ("NAME KEY\n@revoked elsewhere KEY\n", "", "known"),
    "revoked everywhere but here": ("NAME KEY\n@revoked *,!NAME KEY\n", "", "known"),
    "another key is revoked": ("NAME KEY\n@revoked NAME OTHER\n", "", "known"),
    "in a comment": ("NAME KEY\n# @revoked NAME KEY\n", "", "known"),
    "an authority only": ("@cert-authority NAME KEY\n", "", "certified"),
    "an authority of another key": ("@cert-authority * OTHER\nNAME KEY\n", "", "known"),
    "a marker that is not known": ("@trusted NAME KEY\n", "", "new"),
    "hashed": ("HASHED KEY\n", "", "known"),
    "hashed, another key": ("HASHED OTHER\n", "", "changed"),
    "two hashed names in a line": ("HASHED,HASHED KEY\n", "", "new"),
    "everybody's file": ("", "NAME KEY\n", "known"),
    "another in everybody's file": ("", "NAME OTHER\n", "changed"),
    "a pattern": ("[127.0.0.?]:* KEY\n", "", "known"),
    "all but this host": ("*,!NAME,!127.0.0.1 KEY\n", "", "new"),
    "this host is taken out first": ("!NAME,!127.0.0.1,* KEY\n", "", "new"),
    "a name in capitals": ("[127.0.0.1]:PORT,TARGET KEY\n", "", "known"),
    "without its port": ("127.0.0.1 KEY\n", "", "known"),
    "without its port, another key": ("127.0.0.1 OTHER\n", "", "new"),
    "another port": ("[127.0.0.1]:1 KEY\n", "", "new"),
    "the second key only": ("NAME RSA\n", "", "known"),
    "the second key is revoked": ("NAME KEY\nNAME RSA\n@revoked NAME RSA\n", "", "known"),
    "the first key is revoked": ("NAME KEY\nNAME RSA\n@revoked NAME KEY\n", "", "known"),
    "all keys are revoked": ("NAME RSA\nNAME KEY\n@revoked * KEY\n@revoked * RSA\n", "", "revoked"),
    "a second key of another host": ("NAME ANOTHER_RSA\n", "", "changed"),
    "a type that is not the key's": ("NAME ssh-rsa DATA\n", "", "new"),
    "lines that are none": ("NAME\n\nNAME ssh-ed25519\nNAME ssh-rsa !\nNAME KEY\n", "", "known"),
    "a note behind the key": ("NAME KEY root@host and more\n", "", "known"),
}  # fmt: skip


def _filled(text: str, server: Served, keys: Path) -> str:
    other, another = (PKey.from_path(keys / name) for name in ("other", "rsa-other"))
    values = {
        "ANOTHER_RSA": words(another), "HASHED": hashed(server.name), "NAME": server.name,
        "OTHER": words(other), "RSA": words(server.keys[1]), "PORT": str(server.port),
        "DATA": server.keys[0].get_base64(), "KEY": server.words,
    }  # fmt: skip
    for name, value in values.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize(("user", "everybody", "verdict"), CASES.values(), ids=CASES)
def test_known_hosts_is_read_as_openssh_reads_it(
    user: str, everybody: str, verdict: str, files: Files, keys: Path
) -> None:
    """What is let in, and why the rest is not; where ssh is installed, it says the same."""
    files.write(*(_filled(text, files.server, keys) for text in (user, everybody)))
    assert files.ours() == verdict
    if shutil.which("ssh"):
        assert files.theirs() == verdict.replace("certified", "new")


OPTIONS: dict[str, tuple[str, str, str]] = {
    "an alias": (" HostKeyAlias ALIAS.example\n", "alias.example KEY\n", "known"),
    "an alias has no port": (" HostKeyAlias alias\n", "[alias]:PORT KEY\n", "new"),
    "an alias, known by its address": (" HostKeyAlias alias\n", "NAME KEY\n", "new"),
    "an alias that is revoked": (" HostKeyAlias alias\n", "alias KEY\n@revoked alias KEY\n",
                                 "revoked"),
    "no checking": (" StrictHostKeyChecking no\n", "", "new"),
    "accept new keys": (" StrictHostKeyChecking accept-new\n", "", "new"),
    "another file": (" UserKnownHostsFile /dev/null\n", "NAME KEY\n", "new"),
    "no file": (" UserKnownHostsFile none\n", "NAME KEY\n", "new"),
    "several files": (" UserKnownHostsFile /dev/null HOME/known_hosts\n", "NAME KEY\n", "known"),
    "a file by tokens": (" UserKnownHostsFile HOME/%h\n", "", "known"),
    "a list of revoked keys": (" RevokedHostKeys HOME/revoked\n", "NAME KEY\n", "revoked"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "user", "verdict"), OPTIONS.values(), ids=OPTIONS)
def test_the_options_of_ssh_config_count(
    options: str, user: str, verdict: str, files: Files, keys: Path
) -> None:
    """Names and files as OpenSSH takes them; no option makes an unknown key a known one."""
    (files.home / "127.0.0.1").write_text(_filled("NAME KEY\n", files.server, keys))
    (files.home / "revoked").write_text(f"# of last week\n{files.server.words} a note\n")
    files.options = options.replace("HOME", str(files.home))
    files.write(_filled(user, files.server, keys))
    assert files.ours() == verdict
    if shutil.which("ssh"):
        assert files.theirs() == verdict


def test_what_cannot_be_read_is_not_taken_for_empty(files: Files) -> None:
    """It may revoke the key: a folder in a file's place, a list that only ssh reads or none."""
    files.options = f" GlobalKnownHostsFile {files.home}\n"
    files.write(f"{files.server.name} {files.server.words}\n")
    with pytest.raises(UnreadableKnownHosts, match="cannot be read"):
        files.ours()


@pytest.mark.parametrize("content", [b"SSHKRL\n\x00\x00\x00\x00\x01", None], ids=["KRL", "missing"])
def test_a_list_of_revoked_keys_that_is_not_read_refuses(
    files: Files, content: bytes | None
) -> None:
    """As ssh does without it: every key."""
    if content:
        (files.home / "revoked").write_bytes(content)
    files.options = f" RevokedHostKeys {files.home}/revoked\n"
    files.write(f"{files.server.name} {files.server.words}\n")
    with pytest.raises(UnreadableKnownHosts, match="revoked"):
        files.ours()


HOPS = {
    "both known": ("HOP\nNAME KEY\n", None),
    "the hop is new": ("NAME KEY\n", Verdict.NEW),
    "the hop has changed": ("HOP_NAME KEY\nNAME KEY\n", Verdict.CHANGED),
    "the hop is revoked": ("HOP\n@revoked * HOP_KEY\nNAME KEY\n", Verdict.REVOKED),
    "the hop has an authority": ("@cert-authority * HOP_KEY\nNAME KEY\n", Verdict.CERTIFIED),
}


@pytest.mark.parametrize(("user", "verdict"), HOPS.values(), ids=HOPS)
@pytest.mark.parametrize("checking", ["ask", "no", "accept-new"])
def test_a_hop_is_checked_by_the_same_rules(
    user: str, verdict: Verdict | None, checking: str, files: Files, keys: Path, hop: Served,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its name and fingerprint are told, nobody is asked, and no file is written to."""

    def asked(*_: object) -> str:
        raise AssertionError("standard input was asked")

    monkeypatch.setattr("builtins.input", asked)
    files.options = (
        f" ProxyJump jump\nHost jump\n HostName 127.0.0.1\n Port {hop.port}\n"
        f"Host *\n StrictHostKeyChecking {checking}\n"
    )
    text = user.replace("HOP_NAME", hop.name).replace("HOP_KEY", hop.words)
    files.write(_filled(text.replace("HOP", f"{hop.name} {hop.words}"), files.server, keys))
    before = (files.home / "known_hosts").read_bytes()
    if verdict is None:
        assert files.ours() == "known"
        files.write(f"{hop.name} {hop.words}\n")
        assert files.ours() == "new", "the host behind a hop is looked at as well"
        return
    client = StrictClient()
    with pytest.raises(UntrustedHostKey) as caught:
        client.connect("target", _pyinfra_ssh_config_file=str(files.home / "config"), password="x")
    assert (caught.value.name, caught.value.answer.verdict) == (hop.name, verdict)
    told = str(untrusted_key_error("target", caught.value))
    assert hop.name in told
    assert fingerprint(hop.keys[0]) in told
    assert (files.home / "known_hosts").read_bytes() == before


def test_the_inventory_s_file_counts_for_hops_too(files: Files, hop: Served) -> None:
    """ssh_known_hosts_file takes the place of the user's file on the whole way, no longer."""
    files.options = f" ProxyJump jump\nHost jump\n HostName 127.0.0.1\n Port {hop.port}\n"
    files.write("")
    given = files.home / "given"
    given.write_text(f"{hop.name} {hop.words}\n{files.server.name} {files.server.words}\n")
    assert files.ours(_pyinfra_ssh_known_hosts_file=str(given)) == "known"
    assert files.ours() == "new"


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.KNOWN])
def test_each_refusal_is_one_sentence_with_the_fingerprint(
    verdict: Verdict, files: Files, keys: Path
) -> None:
    """What was shown, where the files say otherwise, and the way on, but for a revoked key."""
    text = next(user for user, _, told in CASES.values() if told == verdict.value)
    files.write(_filled(text, files.server, keys))
    client = StrictClient()
    with pytest.raises(UntrustedHostKey) as caught:
        client.connect("target", _pyinfra_ssh_config_file=str(files.home / "config"))
    told = untrusted_key_error("gpu01", caught.value)
    assert fingerprint(files.server.keys[0]) in str(told)
    assert "\n" not in str(told)
    assert ("gpurig trust gpu01" in told.do) is (verdict is not Verdict.REVOKED)
    if verdict is not Verdict.NEW:
        assert f"{files.home}/known_hosts:" in told.what


def test_a_key_that_is_revoked_behind_a_tab_is_refused(files: Files) -> None:
    """ssh takes such a line for none and lets the key in; gpurig takes it as it is meant."""
    name, key = files.server.name, files.server.words
    files.write(f"{name} {key}\n@revoked\t{name}\t{key}\n")
    assert files.ours() == "revoked"


def test_the_port_of_ssh_itself_is_no_part_of_a_name(keys: Path) -> None:
    """A host on port 22 is known by its name alone, in small letters."""
    key = PKey.from_path(keys / "good")
    lines = read_lines(f"gpu01 {words(key)}\n@revoked [gpu01]:2222 {words(key)}\n", "f")
    assert judge(lines, "GPU01", 22, "", key.asbytes()).verdict is Verdict.KNOWN
    assert judge(lines, "gpu01", 2222, "", key.asbytes()).verdict is Verdict.REVOKED
