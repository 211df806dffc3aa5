"""Which keys an OpenPGP keyring holds, by fingerprint; nothing is verified (RFC 4880, 9580)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

_PUBLIC_KEY = 6  # packet tag of a primary key; 14 are subkeys


def dearmored(data: bytes) -> bytes:
    """The binary keyring; ASCII armour is taken off. ValueError if the armour is broken."""
    if not data.lstrip().startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        return data
    blocks = []
    for part in data.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        body, end, _ = part.partition(b"-----END PGP PUBLIC KEY BLOCK-----")
        if not end:
            raise ValueError("the armour has no end")
        lines = body.replace(b"\r\n", b"\n").strip(b"\n").split(b"\n")
        if b"" in lines:  # headers end with an empty line
            lines = lines[lines.index(b"") + 1 :]
        try:
            text = b"".join(line for line in lines if not line.startswith(b"="))
            blocks.append(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise ValueError("the armour is not base64") from error
    return b"".join(blocks)


def fingerprints(data: bytes) -> list[str]:
    """
    The fingerprints of the primary keys of a keyring, armoured or binary, in capital hex.

    40 digits for keys of version 4, 64 for version 6. ValueError where it is no keyring.
    """
    found = []
    for tag, body in _packets(dearmored(data)):
        if tag != _PUBLIC_KEY:
            continue
        if not body:
            raise ValueError("an empty key")
        if body[0] == 4:
            digest = hashlib.sha1(
                b"\x99" + len(body).to_bytes(2, "big") + body
            )  # what RFC 4880 defines
        elif body[0] == 6:
            digest = hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body)
        else:
            raise ValueError(f"a key of version {body[0]}")
        found.append(digest.hexdigest().upper())
    if not found:
        raise ValueError("no key in it")
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet; old and new headers, no partial lengths (keys have none)."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("not an OpenPGP keyring")
        if head & 0x40:
            tag = head & 0x3F
            first = _octets(data, at, 1)
            at += 1
            if first < 192:
                length = first
            elif first < 224:
                length = ((first - 192) << 8) + _octets(data, at, 1) + 192
                at += 1
            elif first == 255:
                length = _octets(data, at, 4)
                at += 4
            else:
                raise ValueError("a packet of unknown length")
        else:
            tag, size = (head >> 2) & 0x0F, 1 << (head & 3)
            if size == 8:
                raise ValueError("a packet of unknown length")
            length = _octets(data, at, size)
            at += size
        body = data[at : at + length]
        if len(body) < length:
            raise ValueError("the keyring is cut off")
        yield tag, body
        at += length


def _octets(data: bytes, at: int, count: int) -> int:
    if at + count > len(data):
        raise ValueError("the keyring is cut off")
    return int.from_bytes(data[at : at + count], "big")
