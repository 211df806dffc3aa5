"""Key files: fingerprints as gpg itself shows them, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurig.contract.openpgp import certificate, fingerprints
from key_files import ATTACKER, BEGIN, END, GENUINE, PINNED, armour, lines, packet, packets

DATA = Path(__file__).parent / "data" / "openpgp"
RSA, ED25519 = (DATA / "fingerprints").read_text().split()  # of gpg --with-colons --fingerprint


def test_armoured_and_binary_keyrings() -> None:
    """One key in armour, two in a binary keyring, in the keyring's order."""
    assert fingerprints((DATA / "one.asc").read_bytes()) == [RSA]
    assert fingerprints((DATA / "two.gpg").read_bytes()) == [RSA, ED25519]
    assert certificate((DATA / "one.asc").read_bytes()).fingerprint == RSA


def test_what_is_handed_over_is_what_gpg_exports() -> None:
    """The canonical form of a key that gpg exported is that file, byte for byte; and of armour."""
    whole = certificate(GENUINE)
    assert (whole.fingerprint, whole.binary) == (PINNED, GENUINE)
    assert certificate(whole.armoured) == whole
    assert certificate((DATA / "one.asc").read_bytes()).armoured == (DATA / "one.asc").read_bytes()


WHOLE = certificate(GENUINE).armoured
SAME = {
    "ends of lines as on Windows": WHOLE.replace(b"\n", b"\r\n"),
    "no newline at the end": WHOLE.rstrip(),
    "empty lines around": b"\n\n" + WHOLE + b"\n\r\n",
    "no checksum": armour(GENUINE),
    "headers": WHOLE.replace(b"\n\n", b"\nVersion: GnuPG v2\nComment: a: b\n\n"),
    "longer lines": b"\n".join([BEGIN, b"", *lines(GENUINE, 76), END]),
    "headers of packets in the new format": b"".join(
        bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body
        for tag, body in packets(GENUINE)
    ),
}


@pytest.mark.parametrize("data", SAME.values(), ids=SAME)
def test_another_layout_of_the_same_key_is_handed_over_alike(data: bytes) -> None:
    """Whatever form a vendor gives the key, the host gets the one form."""
    assert certificate(data) == certificate(GENUINE)


K, U, S, SUBKEY, S2 = packets(GENUINE)
THEIRS = packets(ATTACKER)
ONE = WHOLE.split(b"\n")


def _file(*them: tuple[int, bytes]) -> bytes:
    return b"".join(packet(tag, body) for tag, body in them)


REFUSED = {
    "the attacker's key, an empty line, the genuine one": b"\n".join(
        [BEGIN, b"", *lines(ATTACKER), b"", *lines(GENUINE), END, b""]
    ),
    "the genuine one, an empty line, the attacker's": b"\n".join(
        [BEGIN, b"", *lines(GENUINE), b"", *lines(ATTACKER), END, b""]
    ),
    "a header that is a key": b"\n".join([BEGIN, *lines(ATTACKER), b"", *lines(GENUINE), END]),
    "no empty line": b"\n".join([BEGIN, *lines(GENUINE), END]),
    "a blank in the empty line": WHOLE.replace(b"\n\n", b"\n \n"),
    "two empty lines": WHOLE.replace(b"\n\n", b"\n\n\n"),
    "two blocks": WHOLE + armour(ATTACKER),
    "the same block twice": WHOLE + WHOLE,
    "a block within a block": b"\n".join([*ONE[:5], *armour(ATTACKER).split(b"\n"), *ONE[5:]]),
    "text before": b"key:\n" + WHOLE,
    "text behind": WHOLE + b"-- \nvendor\n",
    "base64 behind the end": WHOLE + b"\n".join(lines(ATTACKER)),
    "base64 behind the checksum": WHOLE.replace(END, lines(ATTACKER)[0] + b"\n" + END),
    "a wrong checksum": WHOLE.replace(ONE[-3], b"=AAAA"),
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "a blank before BEGIN": b" " + WHOLE,
    "a line with dashes escaped": WHOLE.replace(ONE[4], b"- " + ONE[4]),
    "a blank of Unicode in a line": WHOLE.replace(ONE[4], ONE[4] + b"\xc2\xa0"),
    "old ends of lines": WHOLE.replace(b"\n", b"\r"),
    "a private key block": WHOLE.replace(b"PUBLIC", b"PRIVATE"),
    "armour behind a binary key": GENUINE + WHOLE,
    "two binary keys": GENUINE + ATTACKER,
    "the same binary key twice": GENUINE + GENUINE,
    "a newline behind a binary key": GENUINE + b"\n",
    "the attacker's key as a second primary one": _file(K, THEIRS[0], U, S, SUBKEY, S2),
    "a secret key": _file((5, K[1]), U, S),
    "a secret subkey": _file(K, U, S, (7, SUBKEY[1]), S2),
    "a marker": _file((10, b"PGP"), K, U, S),
    "a trust packet": _file(K, U, S, (12, b"\x00\x00")),
    "keys within literal data": _file(K, U, S, (11, ATTACKER)),
    "keys within compressed data": _file(K, U, S, (8, b"\x00" + ATTACKER)),
    "a signature first": _file(S, K, U, S),
    "no user id": _file(K, S),
    "a user id that nobody signed": _file(K, U),
    "a subkey that nobody signed": _file(K, U, S, SUBKEY),
    "a user id behind the subkeys": _file(K, SUBKEY, S2, U, S),
    "an open length": b"\x9b" + GENUINE[3:],
    "a partial length": b"\xc6\xe8" + GENUINE[3:],
    "a length that goes past the end": b"\xc6\xff\xff\xff\xff\xff" + GENUINE[3:],
    "a key of version 3": _file((6, b"\x03" + K[1][1:]), U, S),
    "a key of version 6": _file((6, b"\x06" + K[1][1:]), U, S),
    "a key that is too long": _file((6, b"\x04" + bytes(70_000)), U, S),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_two_readers_may_take_for_different_keys_is_refused(data: bytes) -> None:
    """One sentence, whatever fingerprint the first key in it has."""
    with pytest.raises(ValueError, match=r"^it") as refused:
        certificate(data)
    assert "\n" not in str(refused.value)


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
        if len(held) == 1:
            assert [certificate(data).fingerprint] == held


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
                with pytest.raises(ValueError, match=r"^it"):
                    certificate(data[:end])
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
        with pytest.raises(ValueError, match=r"^it"):
            certificate(data)
        return
    assert all(len(one) in (40, 64) for one in found)
