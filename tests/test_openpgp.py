"""Fingerprints of keyrings, as gpg itself shows them."""

from __future__ import annotations

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


def test_a_keyring_that_was_cut_off() -> None:
    """Half a download is no key."""
    whole = (DATA / "two.gpg").read_bytes()
    with pytest.raises(ValueError, match="cut off"):
        fingerprints(whole[: len(whole) - 10])


@given(st.binary(max_size=300))
def test_garbage_is_a_value_error(data: bytes) -> None:
    """Whatever lies on a host, nothing else is raised."""
    try:
        found = fingerprints(data)
    except ValueError:
        return
    assert all(len(one) in (40, 64) for one in found)
