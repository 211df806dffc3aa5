"""What an apt repository has, of its signed index: which versions of a package."""

from __future__ import annotations

import hashlib
import lzma
import re
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from gpurig import store
from gpurig.contract import openpgp
from gpurig.refresh.reading import UnreadError, text

_LARGEST = 512_000_000  # bytes of an index of packages, unpacked
_STANZA = re.compile(r"^Package: (\S+)$.*?^Version: (\S+)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Suite:
    """
    One suite of an archive, or a flat repository.

    + place: the folder of its Release file
    + indexes: of packages, as Release names them, without their endings
    + keyring: of the distribution, or the fingerprint of the one key at `key`
    + codename: what Release must say as its code name or its suite, empty for a flat repository
    """

    place: str
    indexes: tuple[str, ...]
    keyring: str
    key: str = ""
    codename: str = ""


def versions(suite: Suite) -> dict[str, set[str]]:
    """The versions of each package; UnreadError where that cannot be read, or nobody signed it."""
    told = _release(suite).decode(errors="replace")
    named = {f"{word}: {suite.codename}" for word in ("Codename", "Suite")}
    if suite.codename and not named & set(told.splitlines()):
        raise UnreadError(f"{suite.place}: its Release file is not of {suite.codename}")
    hashes = {name: digest for digest, name in _hashes(told)}
    found: dict[str, set[str]] = {}
    for index in suite.indexes:
        ending = next((end for end in (".xz", ".gz", "") if index + end in hashes), None)
        if ending is None:
            raise UnreadError(f"{suite.place}: its Release file has no {index}")
        packed = text(f"{suite.place}/{index}{ending}")
        if hashlib.sha256(packed).hexdigest() != hashes[index + ending]:
            raise UnreadError(f"{suite.place}/{index}{ending}: its SHA256 is not in Release")
        for stanza in _unpacked(packed, ending, f"{suite.place}/{index}").split("\n\n"):
            if match := _STANZA.search(stanza):
                found.setdefault(match[1], set()).add(match[2])
    return found


def _hashes(release: str) -> Iterator[tuple[str, str]]:
    """Hash and name of each file, as the paragraph SHA256 has them."""
    paragraph = release.partition("\nSHA256:")[2]
    for line in paragraph.splitlines()[1:]:
        if not line.startswith(" "):
            return
        words = line.split()
        if len(words) == 3 and re.fullmatch(r"[0-9a-f]{64}", words[0]):
            yield words[0], words[2]


def _unpacked(packed: bytes, ending: str, what: str) -> str:
    try:
        if ending == ".xz":
            whole = lzma.LZMADecompressor(memlimit=256_000_000).decompress(packed, _LARGEST + 1)
        elif ending == ".gz":
            whole = zlib.decompressobj(wbits=31).decompress(packed, _LARGEST + 1)
        else:
            whole = packed
    except (lzma.LZMAError, zlib.error) as error:
        raise UnreadError(f"{what}: it cannot be unpacked ({error})") from error
    if len(whole) > _LARGEST:
        raise UnreadError(f"{what}: it is larger than {_LARGEST} bytes")
    return whole.decode(errors="replace")


def _release(suite: Suite) -> bytes:
    """The Release file, if the key that the tables name has signed it; else UnreadError."""
    gpgv = which("gpgv")
    if gpgv is None:
        raise UnreadError(f"{suite.place}: nothing here verifies signatures; install gpgv")
    with TemporaryDirectory(prefix="refresh-", dir=store.folder(store.cache())) as folder:
        release, signature, out = (Path(folder) / name for name in ("Release", "sig", "out"))
        words = [gpgv, "--keyring", str(_keyring(suite, Path(folder))), "--output", str(out)]
        try:
            release.write_bytes(text(f"{suite.place}/InRelease"))
        except UnreadError:  # an old or a simple repository has the two files alone
            release.write_bytes(text(f"{suite.place}/Release"))
            signature.write_bytes(text(f"{suite.place}/Release.gpg"))
            words, out = [*words[:3], str(signature)], release
        done = subprocess.run(
            [*words, str(release)], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["gpgv printed nothing"])[-1]
            raise UnreadError(f"{suite.place}: its signature is not good ({said})")
        return out.read_bytes()


def _keyring(suite: Suite, folder: Path) -> Path:
    if suite.key:
        keyring = folder / "keys"
        keyring.write_bytes(_certificate(suite))
        return keyring
    if not Path(suite.keyring).is_file():
        what = f"this machine has no {suite.keyring}, whose keys sign it"
        raise UnreadError(f"{suite.place}: {what}")
    return Path(suite.keyring)


def _certificate(suite: Suite) -> bytes:
    try:
        found = openpgp.certificate(text(suite.key))
    except ValueError as error:
        raise UnreadError(f"{suite.key}: it is no key ({error})") from error
    if found.fingerprint != suite.keyring:
        raise UnreadError(
            f"{suite.key}: its fingerprint is {found.fingerprint}, not that of gpurig"
        )
    return found.binary
