"""Keys of NVIDIA's repository that apt must not trust, on a booted Debian 13: one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.openpgp import certificate
from gpurig.errors import HostError
from gpurig.operations.shared import apt
from gpurig.stack.model import Repository
from key_files import ATTACKER, BEGIN, END, OTHER, armour, lines
from lab.commands import run
from lab.lab import Lab
from lab.nvidia import KEY_FILE, Nvidia, nvidia
from lab.plugin import Boot
from lab.repository import signing_key

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

OURS = "/etc/apt/sources.list.d/gpurig-nvidia.sources"
THEIRS = "/etc/apt/sources.list.d/cuda-debian13-x86_64.list"
KEYRING = "/usr/share/keyrings/nvidia.gpg"

passes: Passes
good: Repository


def of(place: Nvidia) -> Repository:
    """The repository as the stack names it."""
    return Repository("nvidia", place.uri, "/", (), place.key_url, place.fingerprint)


def deploy(repository: Repository) -> None:
    """The two operations, as the driver's deploy has them."""
    apt.keyring(promise="driver.keyring", repository=repository)
    apt.repository(
        promise="driver.repository",
        keyring="driver.keyring",
        repository=repository,
        architecture="amd64",
    )


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host."""
    global passes, good
    good = of(nvidia(lab, "nvidia-keys", versions=()))
    passes = Passes.over(boot("trixie", "keys13"))
    yield
    passes.link.close()


@pytest.fixture(autouse=True)
def _bare() -> None:
    passes.shell(f"rm -f {OURS} {THEIRS} {THEIRS}.list {KEYRING}")


def refused(repository: Repository) -> str:
    """The sentence in which one run ends; apt checks as it did before."""
    before = passes.shell("apt-config dump | sha256sum; ls /etc/crypto-policies 2>/dev/null || :")
    with pytest.raises(HostError) as error:
        passes.link.apply(lambda: deploy(repository))
    after = passes.shell("apt-config dump | sha256sum; ls /etc/crypto-policies 2>/dev/null || :")
    assert after == before
    assert "\n" not in str(error.value)
    written = passes.shell(f"cat {OURS} 2>/dev/null || :")
    assert "rusted" not in written
    assert "llow" not in written
    return str(error.value)


def signed(lab: Lab, tmp_path: Path, name: str, options: str) -> Repository:
    """A repository whose key was made under these lines of gpg.conf."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    (home / "gpg.conf").write_text(options)
    fingerprint = signing_key(home)
    try:
        return of(nvidia(lab, name, versions=(), keys=home, fingerprint=fingerprint))
    finally:
        run("gpgconf", "--homedir", home, "--kill", "gpg-agent")


def test_a_key_certified_by_sha1_is_refused(lab: Lab, tmp_path: Path) -> None:
    """As NVIDIA's key of Debian 12 is by Debian 13."""
    said = refused(signed(lab, tmp_path, "nvidia-sha1", "cert-digest-algo SHA1\n"))
    assert "SHA-1" in said


def test_a_key_that_expired_is_refused(lab: Lab, tmp_path: Path) -> None:
    """What was signed after the key's end is not believed."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    past = ("gpg", "--homedir", home, "--batch", "--faked-system-time", "20240101T000000")
    run(*past, "--passphrase", "", "--quick-generate-key", "old <o@example.org>", "rsa3072", "sign",
        "1y")  # fmt: skip
    fingerprint = signing_key(home)
    old = run("gpg", "--homedir", home, "--armor", "--export", fingerprint)
    run("gpg", "--homedir", home, "--batch", "--quick-set-expire", fingerprint, "0")
    try:
        place = nvidia(lab, "nvidia-old", versions=(), keys=home, fingerprint=fingerprint)
    finally:
        run("gpgconf", "--homedir", home, "--kill", "gpg-agent")
    (lab.folder / "repositories/nvidia-old/debian13/x86_64" / KEY_FILE).write_text(old)
    said = refused(of(place))
    assert "expired" in said


def test_a_retired_key_in_the_place_of_the_new_one_is_refused() -> None:
    """Both fingerprints are named."""
    said = refused(replace(good, fingerprint="AE09FE4BBD223A84B2CCFCE3F60F4B3D7FA2AF80"))
    assert good.fingerprint in said
    assert "AE09FE4BBD223A84B2CCFCE3F60F4B3D7FA2AF80" in said


def test_a_signature_of_another_key_is_refused(lab: Lab) -> None:
    """The key is the right one, what it should have signed is not."""
    name = "nvidia-forged"
    forged = of(nvidia(lab, name, versions=()))
    place = lab.folder / "repositories" / name / "debian13/x86_64/InRelease"
    place.write_bytes(place.read_bytes().replace(b"Origin", b"Origim"))
    said = refused(forged)
    assert "apt refuses" in said


FILES: dict[str, Callable[[bytes], bytes]] = {
    "the attacker's key, an empty line, the genuine one": lambda key: b"\n".join(
        [BEGIN, b"", *lines(ATTACKER), b"", *lines(key), END, b""]
    ),
    "two blocks": lambda key: armour(key) + armour(ATTACKER),
    "two keys in a block": lambda key: armour(key + ATTACKER),
    "two binary keys": lambda key: ATTACKER + key,
    "a page of a web server": lambda key: b"<html>login</html>",
    "nothing": lambda key: b"",
    "a file without end": lambda key: armour(key) + b"\n" * 2_000_000,
}


@pytest.fixture
def served(lab: Lab) -> Iterator[Path]:
    """The vendor's key file, as it was afterwards."""
    file = lab.folder / "repositories/nvidia-keys/debian13/x86_64" / KEY_FILE
    before = file.read_bytes()
    yield file
    file.write_bytes(before)


@pytest.mark.parametrize("made", FILES.values(), ids=FILES)
def test_a_key_file_that_holds_more_than_the_key_is_refused(
    made: Callable[[bytes], bytes], served: Path
) -> None:
    """Whatever fingerprint is found in it: no keyring, no source, nothing left behind."""
    served.write_bytes(made(certificate(served.read_bytes()).binary))
    said = refused(good)
    assert good.key_url in said
    for file in (KEYRING, OURS, "/run/gpurig-run.*"):
        assert passes.host.run(f"ls {file}", check=False).rc
    found = passes.plan(lambda: deploy(good))
    assert found["driver.repository"].verdict is Verdict.FOLLOWS


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["Unix", "Windows"])
def test_a_key_file_is_read_with_either_ends_of_lines(ends: bytes, served: Path) -> None:
    """apt gets the one form, and takes the vendor's signature."""
    served.write_bytes(served.read_bytes().replace(b"\n", ends))
    assert all_hold(passes.up(lambda: deploy(good)))
    passes.shell("apt-get -qq -o APT::Update::Error-Mode=any update")


KEYRINGS = {
    "another key besides": lambda key: key + ATTACKER,
    "armour, which apt does not read under this name": armour,
    "nothing": lambda key: b"",
    "the attacker's key": lambda key: ATTACKER,
}


@pytest.mark.parametrize("made", KEYRINGS.values(), ids=KEYRINGS)
def test_a_source_waits_for_a_keyring_that_holds(made: Callable[[bytes], bytes]) -> None:
    """A keyring that was changed is named and written again; until then its source follows it."""
    assert all_hold(passes.up(lambda: deploy(good)))
    keyring = passes.host.root / KEYRING[1:]
    key = keyring.read_bytes()
    keyring.write_bytes(made(key))
    found = passes.plan(lambda: deploy(good))
    assert found["driver.keyring"].verdict is Verdict.DRIFTED
    assert found["driver.repository"].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(lambda: deploy(good)))
    assert keyring.read_bytes() == key


@pytest.mark.parametrize("access", ["chmod 666", "chown nobody", "chmod 640"])
def test_a_keyring_that_others_may_write_is_put_right(access: str) -> None:
    """Whoever may write it decides what root installs; the right key is not fetched again."""
    assert all_hold(passes.up(lambda: deploy(good)))
    away = replace(good, key_url="http://10.77.0.1:9/key")
    passes.repaired(lambda: deploy(away), f"{access} {KEYRING}", {"driver.keyring"})
    assert passes.shell(f"stat -c '%U %a' {KEYRING}").split() == ["root", "644"]


def test_what_apt_s_own_verifier_does_not_find_is_not_green() -> None:
    """A verifier that answers otherwise than we read is a sentence, and the source waits."""
    assert all_hold(passes.up(lambda: deploy(good)))
    passes.shell("mkdir -p /usr/local/bin && printf '#!/bin/sh\\necho Missing key\\n'"
                 " > /usr/local/bin/sqv && chmod 755 /usr/local/bin/sqv")  # fmt: skip
    try:
        found = passes.plan(lambda: deploy(good))
    finally:
        passes.shell("rm /usr/local/bin/sqv")
    assert found["driver.keyring"].verdict is Verdict.UNKNOWN
    assert "Missing key" in found["driver.keyring"].reason
    assert found["driver.repository"].verdict is Verdict.UNKNOWN


def test_a_source_of_the_user_s_with_the_attacker_s_key_is_named() -> None:
    """What is trusted there is said by its fingerprint; nothing is repaired."""
    theirs = "/usr/share/keyrings/theirs.gpg"
    (passes.host.root / theirs[1:]).write_bytes(ATTACKER)
    passes.host.write(THEIRS, f"deb [signed-by={theirs}] {good.uri} /\n")
    found = passes.plan(lambda: deploy(good))
    assert found["driver.keyring"].verdict is Verdict.UNKNOWN
    assert OTHER in found["driver.keyring"].reason
    assert found["driver.repository"].verdict is Verdict.UNKNOWN


def _keyring() -> Finding:
    return passes.plan(lambda: deploy(good))["driver.keyring"]


def test_a_source_of_the_user_s_with_another_key_is_named() -> None:
    """It is neither used nor changed."""
    other = "/usr/share/keyrings/debian-archive-keyring.gpg"
    passes.host.write(THEIRS, f"deb [signed-by={other}] {good.uri} /\n")
    found = _keyring()
    assert found.verdict is Verdict.UNKNOWN
    assert THEIRS in found.reason
    assert good.fingerprint in found.reason


def test_a_keyring_that_apt_cannot_read() -> None:
    """Ours is put right; the user's is named with the command."""
    assert all_hold(passes.up(lambda: deploy(good)))
    passes.repaired(lambda: deploy(good), f"chmod 600 {KEYRING}", {"driver.keyring"})
    theirs = "/usr/share/keyrings/theirs.gpg"
    passes.shell(f"mv {KEYRING} {theirs}; chmod 600 {theirs}; rm {OURS}")
    passes.host.write(THEIRS, f"deb [signed-by={theirs}] {good.uri} /\n")
    assert f"chmod 644 {theirs}" in _keyring().reason


def test_two_sources_with_different_signed_by() -> None:
    """Ours goes where the user has one; two of the user's are named, since apt reads neither."""
    assert all_hold(passes.up(lambda: deploy(good)))
    theirs = "/usr/share/keyrings/theirs.gpg"
    passes.shell(f"cp {KEYRING} {theirs}; chmod 644 {theirs}")
    passes.host.write(THEIRS, f"deb [signed-by={theirs}] {good.uri} /\n")
    assert passes.host.run("apt-get update", check=False).rc, "apt stops at both"
    assert all_hold(passes.up(lambda: deploy(good), {"driver.repository"}))
    assert passes.host.run(f"ls {OURS}", check=False).rc
    passes.shell("apt-get -qq -o APT::Update::Error-Mode=any update")
    passes.host.write(f"{THEIRS}.list", f"deb [signed-by={KEYRING}] {good.uri} /\n")
    found = passes.plan(lambda: deploy(good))["driver.repository"]
    assert found.verdict is Verdict.UNKNOWN
    assert THEIRS in found.reason
