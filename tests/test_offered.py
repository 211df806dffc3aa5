"""The keys that a host is offered, out of files and of a real agent, in ssh's order."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from paramiko import PKey

from gpurig.hosts.offered import Offer, _blob
from gpurig.hosts.ssh_config import UnusableConfig, ask

KEYS = {"plain": ("ed25519", ""), "rsa": ("rsa", ""), "locked": ("ed25519", "secret"),
        "held": ("ecdsa", ""), "strange": ("ed25519", "")}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys by these names, and one in the old form."""
    folder = tmp_path_factory.mktemp("keys of")
    for name, (kind, words) in {**KEYS, "old": ("rsa", "")}.items():
        form = ["-m", "PEM"] * (name == "old")
        command = ["ssh-keygen", "-qt", kind, "-N", words, "-f", name, "-C", name, *form]
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[str]:
    """An agent with a key that no file names, and one that files may name."""
    socket = str(folder / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    while not os.path.exists(socket):
        assert process.poll() is None
    env = os.environ | {"SSH_AUTH_SOCK": socket}
    subprocess.run(["ssh-add", "-q", "strange", "held"], cwd=folder, env=env, check=True)
    yield socket
    process.terminate()
    process.wait()


def _public(folder: Path) -> dict[bytes, str]:
    """Names by what ssh-keygen says of the files."""
    found = {}
    for name in (*KEYS, "old"):
        words = (folder / f"{name}.pub").read_text().split()
        found[" ".join(words[:2]).encode()] = name
    return found


ORDERS = {
    "files alone": ("IdentityFile {f}/rsa\nIdentityFile {f}/plain", False, "rsa plain"),
    "the old form": ("IdentityFile {f}/old", False, "old"),
    "what both have comes first": (
        "IdentityFile {f}/rsa\nIdentityFile {f}/held", True, "held rsa strange"),
    "and nothing else": (
        "IdentitiesOnly yes\nIdentityFile {f}/rsa\nIdentityFile {f}/held", True, "held rsa"),
    "by a public half": ("IdentitiesOnly yes\nIdentityFile {f}/held.pub", True, "held"),
    "an agent alone": ("IdentityFile none", True, "strange held"),
    "an agent that is not asked": ("IdentityAgent none\nIdentityFile {f}/held", True, "held"),
    "no keys": ("PubkeyAuthentication no\nIdentityFile {f}/rsa", True, ""),
    "a passphrase": ("IdentityFile {f}/locked\nIdentityFile {f}/plain", False, "plain"),
    "one that is missing": ("IdentityFile {f}/no\nIdentityFile {f}/plain", False, "plain"),
    "by itself, none": ("Port 22", True, "strange held"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "held", "names"), ORDERS.values(), ids=ORDERS)
def test_keys_are_offered_in_order(
    folder: Path, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    lines: str, held: bool, names: str,
) -> None:  # fmt: skip
    """And each once."""
    monkeypatch.setenv("SSH_AUTH_SOCK", agent if held else "")
    monkeypatch.setenv("HOME", str(tmp_path))
    quoted = lines.replace("{f}/", f'"{folder}/')
    text = "\n".join(f'{line}"' if '"' in line else line for line in quoted.split("\n"))
    (tmp_path / "config").write_text(text + "\n")
    offer = Offer(ask("gpu01", file=str(tmp_path / "config")))
    known = _public(folder)

    def name(key: PKey) -> str:
        line = f"{key.get_name()} {key.get_base64()}".encode()
        assert _blob(key) == key.asbytes()
        return known[line]

    try:
        assert " ".join(map(name, offer.each())) == names
    finally:
        offer.close()


def test_files_with_blanks_are_told_apart(tmp_path: Path) -> None:
    """`ssh -G` puts blanks between several files and no quotes; the line itself has them."""
    (tmp_path / "config").write_text(
        'UserKnownHostsFile = "/a b/%h" /c\\ d /e # both\nGlobalKnownHostsFile /etc/none /a\n'
    )
    options = ask("gpu01", file=str(tmp_path / "config"))
    assert options.paths("userknownhostsfile") == ["/a b/gpu01", "/c d", "/e"]
    assert options.paths("globalknownhostsfile") == ["/etc/none", "/a"]


def test_a_variable_that_is_not_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file's name has one; one that is set is filled in."""
    monkeypatch.setenv("KEYS", "/k")
    monkeypatch.delenv("NOT_SET", raising=False)
    (tmp_path / "config").write_text("Port 22\n")
    options = ask("gpu01", file=str(tmp_path / "config"))
    assert options.path("${KEYS}/%n") == "/k/gpu01"
    with pytest.raises(UnusableConfig, match="NOT_SET is not set"):
        options.path("${NOT_SET}/key")
