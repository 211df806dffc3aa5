"""Fingerprints of keyrings, as gpg itself shows them."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurig.openpgp import dearmored, fingerprints

DATA = Path(__file__).parent / "data" / "openpgp"
RSA, ED25519 = (DATA / "fingerprints").read_text().split()  # of gpg --with-colons --fingerprint


def test_armoured_and_binary_keyrings() -> None:
    """One key in armour, two in a binary keyring, in the keyring's order."""
    assert fingerprints((DATA / "one.asc").read_bytes()) == [RSA]
    assert fingerprints((DATA / "two.gpg").read_bytes()) == [RSA, ED25519]
    assert fingerprints(dearmored((DATA / "one.asc").read_bytes())) == [RSA]


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"\x99", b"\xc6\xff"])
def test_what_is_no_keyring(data: bytes) -> None:
    """A web page or an empty file is a ValueError, never a key."""
    with pytest.raises(ValueError, match=r"."):
        fingerprints(data)


@pytest.fixture(scope="module")
def keyrings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, list[str]]]:
    """Keyrings and what gpg says they hold: its own of today, where there is one, and ours."""
    one, two = (DATA / "one.asc").read_bytes(), (DATA / "two.gpg").read_bytes()
    found = {"captured, armoured": (one, [RSA]), "captured, binary": (two, [RSA, ED25519])}
    gpg = shutil.which("gpg")
    if gpg is None:
        return found
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)

    def run(*arguments: str) -> bytes:
        command = [gpg, "--homedir", str(home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                              capture_output=True).stdout  # fmt: skip

    for kind in ("ed25519", "rsa2048"):
        uid = f"{kind} <{kind}@example.org>"
        run("--passphrase", "", "--quick-generate-key", uid, kind, "default", "never")
    listed = run("--with-colons", "--list-keys", "--fingerprint").decode().splitlines()
    own: list[str] = []
    for before, line in pairwise(listed):
        if before.startswith("pub:") and line.startswith("fpr:"):
            own.append(line.split(":")[9])
    found["made now, binary"] = (run("--export"), own)
    found["made now, armoured"] = (run("--armor", "--export"), own)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return found


def test_gpg_agrees(keyrings: dict[str, tuple[bytes, list[str]]]) -> None:
    """Two keys with their subkeys and signatures: the primary ones, in gpg's order."""
    for data, held in keyrings.values():
        assert fingerprints(data) == held
        assert fingerprints(dearmored(data)) == held


def test_two_files_in_one() -> None:
    """cat of two keyrings is a keyring, armoured or not."""
    one, two = (DATA / "one.asc").read_bytes(), (DATA / "two.gpg").read_bytes()
    assert fingerprints(one + b"\n" + one) == [RSA, RSA]
    assert fingerprints(two + two) == [RSA, ED25519] * 2
    assert fingerprints(one.replace(b"\n", b"\r\n")) == [RSA]


def test_a_keyring_that_was_cut_off(keyrings: dict[str, tuple[bytes, list[str]]]) -> None:
    """Wherever a download ended: an error, or the keys before that place, whole, and no other."""
    for data, held in keyrings.values():
        for end in range(len(data)):
            try:
                found = fingerprints(data[:end])
            except ValueError:
                continue
            assert found == held[: len(found)]
    whole = (DATA / "two.gpg").read_bytes()
    with pytest.raises(ValueError, match="cut off"):
        fingerprints(whole[: len(whole) - 10])


@given(data=st.data())
def test_a_changed_key_has_another_fingerprint(data: st.DataObject) -> None:
    """Whichever byte of the key's packet is another, it is not the key that is accepted."""
    whole = bytearray((DATA / "two.gpg").read_bytes())
    length = 3 + int.from_bytes(whole[1:3], "big")
    at = data.draw(st.integers(0, length - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = fingerprints(bytes(whole))
    except ValueError:
        return
    assert RSA not in found


ARMOUR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda data: b"\x99" + len(data).to_bytes(2, "big") + data)
    | st.binary(max_size=300).map(
        lambda data: ARMOUR + b"\n\n" + data + b"\n" + ARMOUR.replace(b"BEGIN", b"END")
    )
    | st.lists(st.sampled_from([ARMOUR, b"\n", b"=", b"mQ==", b"\xff", b"\x00"])).map(b"".join)
)
def test_garbage_is_a_value_error(data: bytes) -> None:
    """Whatever lies on a host, nothing else is raised."""
    try:
        found = fingerprints(data)
    except ValueError:
        return
    assert all(len(one) in (40, 64) for one in found)
