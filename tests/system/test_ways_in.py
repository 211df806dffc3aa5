"""What ssh does with a configuration gpurig does, on a real sshd: both are tried, and compared."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paramiko import SSHException

from gpurig.engine.runner import Link, prepare_engine
from gpurig.errors import HostError
from gpurig.hosts.client import StrictClient
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.ssh_config import UnusableConfig
from lab.hosts import Host

pytestmark = pytest.mark.lab

STRANGERS = tuple("abcdefgh")  # more keys than sshd lets anybody try
NAMES = ("good", "rsa", "ecdsa", "locked", "vouched")

# The lines of ssh_config, which agent is the environment's, and the key that lets in; a `{f}` is a
# folder with a blank in its name. Empty: nobody is let in.
ONLY = 'IdentitiesOnly yes\nIdentityFile "{f}/good"'
CASES: dict[str, tuple[str, str, str]] = {
    "a full agent, and one key only": (ONLY, "full", "good"),
    "one key only, which is in a full agent": (
        'IdentitiesOnly yes\nIdentityFile "{f}/locked"', "fuller", "locked"),
    "its public half alone": (
        'IdentitiesOnly yes\nIdentityFile "{f}/locked.pub"', "fuller", "locked"),
    "a full agent that has the key as its last": ('IdentityFile "{f}/locked"', "fuller", "locked"),
    "only keys of its own, none of the agent's": ("IdentitiesOnly yes", "holding", ""),
    "no key of a file, an agent": ("IdentityFile none", "holding", "good"),
    "no key of a file, no agent": ("IdentityFile none", "", ""),
    "no agent": ("IdentityAgent none\nIdentityFile none", "holding", ""),
    "another agent": ('IdentityAgent "{f}/holding"\nIdentityFile none', "full", "good"),
    "the environment's agent": (
        "IdentityAgent SSH_AUTH_SOCK\nIdentityFile none", "holding", "good"),
    "an agent by a variable": ("IdentityAgent $HELD\nIdentityFile none", "full", "good"),
    "an agent by a variable in braces": (
        "IdentityAgent ${{HELD}}\nIdentityFile none", "full", "good"),
    "an agent by a variable that is not set": (
        "IdentityAgent $NOT_SET\nIdentityFile none", "holding", ""),
    "an agent that is not there": ("IdentityAgent /no/agent\nIdentityFile none", "holding", ""),
    "two keys, in their order": ('IdentityFile "{f}/rsa"\nIdentityFile "{f}/good"', "", "rsa"),
    "the other order": ('IdentityFile "{f}/good"\nIdentityFile "{f}/rsa"', "", "good"),
    "in the agent before in a file": (
        'IdentityFile "{f}/rsa"\nIdentityFile "{f}/good"', "holding", "good"),
    "a wrong key before the right one": (
        'IdentityFile "{f}/a"\nIdentityFile "{f}/ecdsa"', "", "ecdsa"),
    "a key that is missing before the right one": (
        'IdentityFile "{f}/none at all"\nIdentityFile "{f}/good"', "", "good"),
    "too many wrong keys": (
        "\n".join(f'IdentityFile "{{f}}/{one}"' for one in (*STRANGERS, "good")), "", ""),
    "a key with a passphrase, no agent": ('IdentityFile "{f}/locked"', "", ""),
    "keys are not wanted": (f"PubkeyAuthentication no\n{ONLY}", "", ""),
    "a certificate beside its key": ('IdentityFile "{f}/vouched"', "", "certified"),
    "a certificate by name": (
        'IdentityFile "{f}/elsewhere"\nCertificateFile "{f}/vouched-cert.pub"', "", "certified"),
    "a certificate of a key in the agent": (
        'IdentityFile none\nCertificateFile "{f}/vouched-cert.pub"', "vouching", "certified"),
    "a certificate of another key": (
        'IdentityFile "{f}/a"\nCertificateFile "{f}/vouched-cert.pub"', "", ""),
    "blanks by backslashes": ("IdentityFile {b}/good", "", "good"),
    "tokens": ('IdentityFile "{f}/%n-%h-%p-%r-%%"', "", "good"),
    "a variable": ("IdentityFile ${{KEYS}}/good", "", "good"),
    "a hash of it all": ('IdentityFile "{f}/%C"', "", "good"),
    "two files of known hosts": (
        f'UserKnownHostsFile "{{f}}/nothing here" "{{f}}/known hosts"\n{ONLY}', "", "good"),
    "known hosts by tokens": (f'UserKnownHostsFile "{{f}}/known %h"\n{ONLY}', "", "good"),
    "nobody is known": (f"UserKnownHostsFile none\n{ONLY}", "", ""),
    "an alias that is known": (f"HostKeyAlias Alias\n{ONLY}", "", "good"),
    "an alias that is not": (f"HostKeyAlias other\n{ONLY}", "", ""),
    "another port": (f"Port 2222\n{ONLY}", "", "good"),
    "a file with a blank is included": ('Include "{f}/more of it/*.conf"', "", "good"),
    "a path for sharing with blanks": (f'ControlPath "{{f}}/no %C"\nControlMaster no\n{ONLY}', "",
        "good"),
}  # fmt: skip


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """A host whose sshd has a second port, and lets nobody try more than six keys."""
    host = boot("trixie", "ways")
    settings = "Port 22\nPort 2222\nMaxAuthTries 6\nTrustedUserCAKeys /etc/ssh/users_ca.pub\n"
    settings += "PerSourcePenalties no\n"  # many of these logins are to fail
    host.write("/etc/ssh/sshd_config.d/ways.conf", settings)
    return host


def _key(folder: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> None:
    file = str(folder / name)
    subprocess.run(
        ["ssh-keygen", "-qt", kind, "-N", passphrase, "-f", file, "-C", name], check=True
    )


@pytest.fixture(scope="module")
def folder(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys, and what else ssh_config names; the host lets in by some of them."""
    folder = tmp_path_factory.mktemp("ways") / "of the user"
    folder.mkdir()
    for name in (*STRANGERS, "good", "vouched", "ca"):
        _key(folder, name)
    _key(folder, "rsa", "rsa")
    _key(folder, "ecdsa", "ecdsa")
    _key(folder, "locked", passphrase="secret words")
    certified = ["ssh-keygen", "-qs", "ca", "-I", "x", "-n", "root", "vouched.pub"]
    subprocess.run(certified, cwd=folder, check=True)
    lines = [
        f'command="echo {name}" {(folder / f"{name}.pub").read_text().strip()}'
        for name in NAMES if name != "vouched"
    ]  # fmt: skip
    host.run("cat >> /root/.ssh/authorized_keys", stdin="".join(f"{one}\n" for one in lines))
    host.write("/etc/ssh/users_ca.pub", (folder / "ca.pub").read_text())
    host.write("/usr/local/bin/certified", "#!/bin/sh\necho certified\n", 0o755)
    host.run("systemctl restart ssh")
    shutil.copy(folder / "vouched", folder / "elsewhere")
    shutil.copy(folder / "vouched.pub", folder / "elsewhere.pub")
    shutil.copy(folder / "good", folder / f"gpu-{host.address}-22-root-%")
    key = " ".join(host.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    known = "".join(f"{name} {key}\n" for name in (host.address, f"[{host.address}]:2222", "alias"))
    (folder / "known hosts").write_text(known)
    (folder / f"known {host.address}").write_text(known)
    (folder / "more of it").mkdir()
    (folder / "more of it/a.conf").write_text(ONLY.format(f=folder) + "\n")
    return folder


@pytest.fixture(scope="module")
def agents(folder: Path) -> Iterator[dict[str, str]]:
    """The agents by what they hold; each at a socket of its name."""
    ask = folder / "passphrase"
    ask.write_text("#!/bin/sh\necho 'secret words'\n")
    ask.chmod(0o755)
    held = {
        "full": STRANGERS, "fuller": (*STRANGERS, "locked"), "holding": ("good",),
        "vouching": ("elsewhere",),
    }  # fmt: skip
    processes = []
    for name, keys in held.items():
        socket = str(folder / name)
        processes.append(subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=-3))
        while not os.path.exists(socket):
            assert processes[-1].poll() is None
        env = {**os.environ, "SSH_AUTH_SOCK": socket, "SSH_ASKPASS": str(ask)}
        env |= {"SSH_ASKPASS_REQUIRE": "force"}
        for key in keys:
            subprocess.run(["ssh-add", "-q", key], cwd=folder, env=env, check=True)
    yield {name: str(folder / name) for name in held}
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def config(
    host: Host, folder: Path, agents: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Path]:
    """Writes an ssh_config, and sets the environment's agent."""

    def written(lines: str, agent: str) -> Path:
        text = lines.format(f=folder, b=str(folder).replace(" ", "\\ "))
        file = folder / "config"
        file.write_text(
            f"Host gpu\n{text}\nHostName {host.address}\nUser root\nStrictHostKeyChecking yes\n"
            f'UserKnownHostsFile "{folder}/known hosts"\nGlobalKnownHostsFile /dev/null\n'
        )
        monkeypatch.setenv("HELD", agents["holding"])
        monkeypatch.setenv("KEYS", str(folder))
        monkeypatch.delenv("NOT_SET", raising=False)
        monkeypatch.setenv("SSH_AUTH_SOCK", agents.get(agent, ""))
        hashed = _ssh("-G", "-o", "ControlPath=%C", "-F", str(file), "gpu").stdout
        name = next(line.split()[1] for line in hashed.splitlines() if "controlpath" in line)
        shutil.copy(folder / "good", folder / name)
        return file

    return written


def _ssh(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-o", "BatchMode=yes", *words], stdin=subprocess.DEVNULL, text=True,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def _ours(file: Path) -> str:
    client = StrictClient()
    try:
        client.connect("gpu", _pyinfra_ssh_config_file=str(file), timeout=20)
        _, out, _ = client.exec_command("certified")
        return out.read().decode().strip()
    except (SSHException, UnusableConfig):
        return ""
    finally:
        client.close()


@pytest.mark.parametrize(("lines", "agent", "key"), CASES.values(), ids=CASES)
def test_ssh_and_gpurig_get_in_by_the_same_key(
    config: Callable[[str, str], Path], lines: str, agent: str, key: str
) -> None:
    """Or neither does."""
    file = config(lines, agent)
    judge = _ssh("-F", str(file), "gpu", "certified")
    assert judge.stdout.strip() == key, judge.stderr
    assert _ours(file) == key


def test_a_named_key_comes_before_strangers(config: Callable[[str, str], Path]) -> None:
    """ssh offers a full agent's keys first, and gets in by none."""
    file = config('IdentityFile "{f}/good"', "full")
    assert not _ssh("-F", str(file), "gpu", "x").stdout
    assert _ours(file) == "good"


# What cannot be done is told, with the words of its sentence.
REFUSED = {
    "a full agent": ("", "full", "ssh-refused", "ended the connection after 6 keys; set IdentityF"),
    "a passphrase": (
        'IdentityFile "{f}/locked"', "", "ssh-refused", "/locked has a passphrase, and no agent"),
    "a public key alone": (
        'IdentityFile "{f}/a.pub"', "", "ssh-refused", "a.pub is a public key, and no agent holds"),
    "a key that is missing": ('IdentityFile "{f}/no"', "", "ssh-refused", "/no is missing)"),
    "a library": (
        "PKCS11Provider /usr/lib/none.so", "", "ssh-config",
        "config line 2: PKCS11Provider is not supported; load its keys into ssh-agent"),
    "a library for tokens": (
        "SecurityKeyProvider=/usr/lib/none.so", "", "ssh-config",
        "config line 2: SecurityKeyProvider is not supported; load the key"),
    "a program that is missing": (
        "ProxyCommand '/no/such program' %h", "", "ssh-config",
        "line 2: ProxyCommand ends with exit status 127"),
    "a program that fails": (
        "ProxyCommand sh -c 'echo broken >&2; exit 3'", "", "ssh-config",
        "line 2: ProxyCommand ends with exit status 3: broken; check that command"),
    "a program that hands over": (
        "ProxyCommand nc -F %h %p\nProxyUseFdpass yes", "", "ssh-config",
        "config line 3: ProxyUseFdpass is not supported"),
    "a variable that is not set": (
        "IdentityFile ${{NOT_SET}}/key", "", "ssh-config", "and NOT_SET is not set"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "agent", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_keeps_gpurig_out_is_named(
    config: Callable[[str, str], Path], lines: str, agent: str, code: str, words: str
) -> None:
    """With file and line where ssh_config is at fault; nobody is sent to look at the host."""
    file = config(lines, agent)
    assert not _ssh("-F", str(file), "gpu", "x").stdout
    prepare_engine()
    with pytest.raises(HostError) as error:
        Link(HostSpec.of("gpu", "ssh", "gpu", {"ssh_config_file": str(file)})).open()
    assert error.value.code == code
    assert words in str(error.value)
    assert "is up" not in str(error.value)
