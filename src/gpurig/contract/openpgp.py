"""OpenPGP key files: the one public certificate in them, by fingerprint (RFC 4880, 9580)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST = 1_000_000  # bytes; vendors' keys have a few thousand

_SIGNATURE, _KEY, _USER_ID, _SUBKEY, _ATTRIBUTE = 2, 6, 13, 14, 17  # the packets of a certificate
_SECRET = {5: "a secret key", 7: "a secret subkey"}
_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = b"-----END PGP PUBLIC KEY BLOCK-----"
_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*: [\x20-\x7e]*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Certificate:
    """
    One public key with its user ids, subkeys and signatures; nothing of it is verified.

    + fingerprint: of the primary key, 40 capital hexadecimal digits
    + binary: its packets in one form only, the one that gpg exports
    """

    fingerprint: str
    binary: bytes

    @property
    def armoured(self) -> bytes:
        """The same packets in ASCII armour, with the checksum that old rpm asks for."""
        text = base64.b64encode(self.binary)
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return b"\n".join([_BEGIN, b"", *lines, _checksum(self.binary), _END, b""])


def certificate(data: bytes) -> Certificate:
    """
    The only certificate of a key file that is one armour block or binary, and nothing else.

    ValueError with a sentence for everything that two readers could take for different keys:
    anything before or after the block, a blank line or a wrong checksum in it, two primary keys,
    packets that a public certificate does not have or in another order, lengths that are open.
    """
    blocks = [data] if _is_binary(data) else _blocks(data, alone=True)
    packets = list(_packets(blocks[0]))
    for tag, _ in packets:
        if tag in _SECRET:
            raise ValueError(f"it holds {_SECRET[tag]}")
        if tag not in (_SIGNATURE, _KEY, _USER_ID, _SUBKEY, _ATTRIBUTE):
            raise ValueError(
                f"it holds a packet of type {tag}, which does not belong in a public key"
            )
    tags = [tag for tag, _ in packets]
    if tags.count(_KEY) > 1:
        raise ValueError(f"it holds {tags.count(_KEY)} keys instead of one")
    shape = "".join({_KEY: "K", _SUBKEY: "k", _SIGNATURE: "s"}.get(tag, "u") for tag in tags)
    if not re.fullmatch("Ks*(u+s+)+(ks+)*", shape):
        raise ValueError("it is not one key with its signed user ids and signed subkeys")
    if packets[0][1][:1] != b"\x04":
        raise ValueError("its key is not of version 4; apt and rpm read only version 4")
    binary = b"".join(_packet(tag, body) for tag, body in packets)
    return Certificate(_fingerprint(packets[0][1]), binary)


def fingerprints(data: bytes) -> list[str]:
    """
    The fingerprints of the primary keys of any keyring, armoured or binary, in capital hex.

    40 digits for keys of version 4, 64 for version 6. For showing what a keyring of somebody
    else's holds, which may be several keys; ValueError where it is no keyring.
    """
    blocks = [data] if _is_binary(data) else _blocks(data, alone=False)
    found = [_fingerprint(body) for block in blocks for tag, body in _packets(block) if tag == _KEY]
    if not found:
        raise ValueError("it holds no public key")
    return found


def _is_binary(data: bytes) -> bool:
    return bool(data) and data[0] >= 0x80


def _blocks(data: bytes, alone: bool) -> list[bytes]:
    """What the armour blocks of a text hold; ``alone``: exactly one, and nothing around it."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    found, at = [], 0
    while at < len(lines):
        if lines[at] != _BEGIN:
            if lines[at] and (alone or b"-----BEGIN PGP" in lines[at]):
                raise ValueError("it is not one OpenPGP public key block")
            at += 1
            continue
        if _END not in lines[at:]:
            raise ValueError("its armour has no end")
        end = lines.index(_END, at)
        found.append(_dearmoured(lines[at + 1 : end]))
        at = end + 1
    if not found:
        raise ValueError("it is not an OpenPGP key")
    if alone and len(found) > 1:
        raise ValueError(f"it has {len(found)} armour blocks instead of one")
    return found


def _dearmoured(lines: list[bytes]) -> bytes:
    """The bytes of the lines between BEGIN and END: headers, one empty line, base64, checksum."""
    if b"" not in lines:
        raise ValueError("its armour has no empty line before the key")
    start = lines.index(b"")
    for line in lines[:start]:
        if not _HEADER.fullmatch(line):
            raise ValueError("its armour has a header that is not NAME: TEXT")
    body = lines[start + 1 :]
    checksum = body.pop() if body and body[-1].startswith(b"=") else None
    if not body or not all(map(_BASE64.fullmatch, body)):
        raise ValueError("its armour has a line that is not base64")
    text = b"".join(body)
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("its armour is not whole base64") from error
    if base64.b64encode(data) != text:
        raise ValueError("its armour is not whole base64")
    if checksum is not None and checksum != _checksum(data):
        raise ValueError("its armour has a wrong checksum")
    return data


def _checksum(data: bytes) -> bytes:
    """The last line of an armour: CRC-24 (RFC 4880, section 6.1)."""
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return b"=" + base64.b64encode(crc.to_bytes(3, "big"))


def _fingerprint(body: bytes) -> str:
    if body[:1] == b"\x04" and len(body) < 1 << 16:
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body)  # as RFC 4880 has it
    elif body[:1] == b"\x06":
        digest = hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body)
    else:
        raise ValueError("its key has an unknown version")
    return digest.hexdigest().upper()


def _packet(tag: int, body: bytes) -> bytes:
    """A packet with the shortest header of the old format; of the new one where it needs that."""
    length = len(body)
    if tag < 16:
        size = 0 if length < 1 << 8 else 1 if length < 1 << 16 else 2
        return bytes([0x80 | tag << 2 | size]) + length.to_bytes(1 << size, "big") + body
    if length < 192:
        return bytes([0xC0 | tag, length]) + body
    if length < 8384:
        return bytes([0xC0 | tag, 192 + (length - 192 >> 8), length - 192 & 0xFF]) + body
    return bytes([0xC0 | tag, 0xFF]) + length.to_bytes(4, "big") + body


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet, old and new headers; partial and open lengths are refused."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("it is not an OpenPGP key")
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
                raise ValueError("it has a packet without a length")
        else:
            tag, size = (head >> 2) & 0x0F, 1 << (head & 3)
            if size == 8:
                raise ValueError("it has a packet without a length")
            length = _octets(data, at, size)
            at += size
        body = data[at : at + length]
        if len(body) < length:
            raise ValueError("it is cut off")
        yield tag, body
        at += length


def _octets(data: bytes, at: int, count: int) -> int:
    if at + count > len(data):
        raise ValueError("it is cut off")
    return int.from_bytes(data[at : at + count], "big")
