"""Key files as nobody should write them, for comparing readers: armour, packets, cuts and bits."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from gpurig.contract.openpgp import Certificate, certificate

DATA = Path(__file__).parent / "data" / "openpgp"
GENUINE, ATTACKER = (DATA / "genuine.gpg").read_bytes(), (DATA / "attacker.gpg").read_bytes()
PINNED = "B9B20447D0AA4C2AE96688CA5B590D26E2D3B7BF"  # of gpg --with-colons --fingerprint
OTHER = "BC27B6282E02D62AC5F3D93FA4E89E43645A8F2D"
BEGIN, END = (f"-----{word} PGP PUBLIC KEY BLOCK-----".encode() for word in ("BEGIN", "END"))

Packets = list[tuple[int, bytes]]


def accepted(data: bytes) -> Certificate | None:
    """What gpurig takes from a file under this pin; None where it refuses."""
    try:
        key = certificate(data)
    except ValueError:
        return None
    return key if key.fingerprint == PINNED else None


def lines(data: bytes, width: int = 64) -> list[bytes]:
    """Base64 in lines."""
    text = base64.b64encode(data)
    return [text[at : at + width] for at in range(0, len(text), width)]


def armour(data: bytes) -> bytes:
    """A block without a checksum."""
    return b"\n".join([BEGIN, b"", *lines(data), END, b""])


def packets(data: bytes) -> Packets:
    """Tag and body of packets whose headers gpg wrote."""
    found, at = [], 0
    while at < len(data):
        size = 1 << (data[at] & 3)
        length = int.from_bytes(data[at + 1 : at + 1 + size], "big")
        start = at + 1 + size
        found.append((data[at] >> 2 & 15, data[start : start + length]))
        at = start + length
    return found


def packet(tag: int, body: bytes, chance: random.Random | None = None) -> bytes:
    """One packet, with a header of any form that says the same, or ought to be refused."""
    length = len(body)
    new = [
        bytes([0xC0 | tag, 0xFF]) + length.to_bytes(4, "big"),
        *([bytes([0xC0 | tag, length])] if length < 192 else []),
        *([bytes([0xC0 | tag, 192 + (length - 192 >> 8), length - 192 & 255])]
          if 192 <= length < 8384 else []),
    ]  # fmt: skip
    old = [
        *([bytes([0x80 | tag << 2, length])] if length < 256 else []),
        *([bytes([0x81 | tag << 2]) + length.to_bytes(2, "big")] if length < 65536 else []),
        bytes([0x82 | tag << 2]) + length.to_bytes(4, "big"),
    ]
    if chance is None:
        return (old[0] if tag < 16 else new[-1]) + body
    forms = new + (old if tag < 16 else [])
    if chance.random() < 0.1:  # open, partial and huge lengths
        forms = [bytes([0x83 | (tag & 15) << 2]), bytes([0xC0 | tag, 0xE4]),
                 bytes([0xC0 | tag, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])]  # fmt: skip
    return chance.choice(forms) + body


def _joined(found: Packets, chance: random.Random | None = None) -> bytes:
    return b"".join(packet(tag, body, chance) for tag, body in found)


def _both(text: bytes, chance: random.Random) -> bytes:
    return chance.choice([lambda: text, lambda: armour(text)])()


def _grafted(chance: random.Random) -> bytes:
    """Packets of the attacker's, of both kinds of key, put among the genuine ones."""
    found = packets(GENUINE)
    if chance.random() < 0.3:  # a key of the attacker's as a subkey, with a signature of somebody's
        keys = [body for tag, body in packets(ATTACKER) if tag in (6, 14)]
        signatures = [body for tag, body in packets(ATTACKER) + found if tag == 2]
        found += [(14, chance.choice(keys)), (2, chance.choice(signatures))]
        return _both(_joined(found), chance)
    for _ in range(chance.randint(1, 3)):
        tag, body = chance.choice(packets(ATTACKER))
        tag = chance.choice([tag, tag, 14 if tag == 6 else tag, 6 if tag == 14 else tag])
        found.insert(chance.randint(0, len(found)), (tag, body))
    return _both(_joined(found), chance)


def _shuffled(chance: random.Random) -> bytes:
    found = packets(GENUINE) + chance.choice([[], packets(ATTACKER)])
    for _ in range(chance.randint(1, 4)):
        kind, at = chance.randint(0, 2), chance.randrange(len(found))
        if kind == 0 and len(found) > 1:
            del found[at]
        elif kind == 1:
            found.insert(chance.randint(0, len(found)), found[at])
        else:
            found.append(found.pop(at))
    return _both(_joined(found), chance)


def _strange(chance: random.Random) -> bytes:
    """Marker, trust, secret, nested, private and unknown packets among the genuine ones."""
    found = packets(GENUINE)
    body = chance.choice([b"", b"PGP", ATTACKER, packets(ATTACKER)[0][1], chance.randbytes(9)])
    tag = chance.choice([0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 20, 21, 60, 63])
    found.insert(chance.randint(0, len(found)), (tag, body))
    return _both(_joined(found), chance)


def _headers(chance: random.Random) -> bytes:
    return _both(_joined(packets(GENUINE), chance), chance)


def _bits(chance: random.Random) -> bytes:
    data = bytearray(
        chance.choice([GENUINE, GENUINE, armour(GENUINE), Certificate("", GENUINE).armoured])
    )
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _cut(chance: random.Random) -> bytes:
    data = chance.choice([GENUINE, armour(GENUINE), GENUINE + ATTACKER])
    start = chance.choice([0, 0, chance.randrange(len(data))])
    return data[start : chance.randint(start, len(data))] + chance.choice([b"", b"", ATTACKER])


_PIECES: tuple[bytes, ...] = (
    b"", b"", b" ", b"\t", b"\x0c", b"\xc2\xa0", b"\xe2\x80\x83", b"\xe2\x80\xa8", b"\x00", b"\r",
    b"-", b"- ", b"-----", b"=", b"====", b"=AAAA", b"Version: 1", b"Comment: a: b", b"Comment:x",
    b"Hash: SHA512", BEGIN, END, b"- " + BEGIN, BEGIN + b" ", BEGIN.lower(),
    b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN PGP SIGNED MESSAGE-----",
    b"-----BEGIN PGP PRIVATE KEY BLOCK-----", b"-----END PGP MESSAGE-----", b"\xef\xbb\xbf",
)  # fmt: skip


def _armours(chance: random.Random) -> bytes:
    """Lines put in, taken out, doubled and moved in one or two blocks; other ends of lines."""
    whole = Certificate("", GENUINE).armoured
    theirs = chance.choice([[], lines(ATTACKER), armour(ATTACKER).split(b"\n")])
    text = chance.choice([whole, armour(GENUINE)]).split(b"\n")
    if theirs:
        at = chance.choice([0, 1, 2, len(text) - 2, len(text), chance.randint(0, len(text))])
        text[at:at] = [*theirs, *chance.choice([[], [b""]])]
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(text))
        kind = chance.randint(0, 3)
        if kind == 0:
            text[at:at] = [chance.choice(_PIECES)]
        elif kind == 1 and at < len(text):
            text[at] = chance.choice([text[at] + chance.choice(_PIECES),
                                      chance.choice(_PIECES) + text[at]])  # fmt: skip
        elif kind == 2 and at < len(text):
            del text[at]
        elif at < len(text):
            text.insert(chance.randint(0, len(text)), text[at])
    ends = chance.choice([b"\n", b"\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n", b"\x0b", b"\xc2\x85"])
    return ends.join(text).rstrip() if chance.random() < 0.1 else ends.join(text)


def _wrapped(chance: random.Random) -> bytes:
    """Only the layout of the armour is another: what it holds stays."""
    width = chance.choice([4, 60, 64, 72, 76, 1000, 100_000])
    head = [b"Version: x", b"Comment: " + chance.choice([b"", b"a", b"=mQ", BEGIN])]
    some = [BEGIN, *chance.sample(head, chance.randint(0, 2)), b"", *lines(GENUINE, width)]
    check = Certificate("", GENUINE).armoured.split(b"\n")[-3]
    end = chance.choice([b"\n", b"\r\n"])
    return end.join([*some, *chance.choice([[], [check]]), END, *chance.choice([[], [b""]])])


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    _grafted, _shuffled, _strange, _headers, _bits, _bits, _cut, _armours, _armours, _armours,
    _wrapped,
)  # fmt: skip


def mutated(number: int, seed: int = 11) -> Iterator[bytes]:
    """That many key files, always the same ones."""
    chance = random.Random(seed)
    for count in range(number):
        yield _KINDS[count % len(_KINDS)](chance)


def unharmed(key: Certificate) -> bool:
    """Whether every packet is the genuine one: then each reader has to find the key."""
    return key.binary == GENUINE


def write(folder: Path, number: int) -> int:
    """
    Of that many files those that gpurig accepts, and how many they are.

    NAME.file as it came, NAME.gpg and NAME.asc as it is handed to apt and to rpm, each form once;
    NAME begins with ``whole`` where every packet is the genuine one, else with ``other``.
    """
    taken, seen = 0, set()
    for count, data in enumerate(mutated(number)):
        key = accepted(data)
        if key is None:
            continue
        taken += 1
        name = f"{'whole' if unharmed(key) else 'other'}-{count:06d}"
        (folder / f"{name}.file").write_bytes(data)
        if key.binary not in seen:
            seen.add(key.binary)
            (folder / f"{name}.gpg").write_bytes(key.binary)
            (folder / f"{name}.asc").write_bytes(key.armoured)
    return taken
