"""The key file of a repository: what it holds, and what apt's and rpm's own tools find in it."""

from __future__ import annotations

import base64
import re
import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.openpgp import LARGEST, certificate, fingerprints
from gpurig.contract.values import ABSENT, Absent, Unknown

_FINGERPRINT = re.compile("[0-9A-Fa-f]{40}")


class KeyFile(TypedDict):
    """
    What a key file holds.

    + fingerprints: of all primary keys in it; none where it is no keyring
    + refused: why it is not exactly one public key, as a sentence that begins with "it"
    + certificate: that key as base64 of its only binary form; empty where it is refused
    + form: ``binary`` or ``armour`` where the file is, byte for byte, what gpurig would write,
      else ``other``
    + mode: octal digits; owner: ``root`` whatever uid 0 is called
    """

    fingerprints: list[str]
    refused: str
    certificate: str
    form: str
    mode: str
    owner: str


class Keys(Fact[KeyFile]):
    """
    The keys in a keyring file, binary or armoured; no tool is needed on the host.

    + path: the file

    ``{"fingerprints": ["C95B321B61E88C1809C4F759DDCAE044F796ECB0"], "refused": "", "certificate":
    "mQINBF…", "form": "binary", "mode": "644", "owner": "root"}``
    """

    def command(self, path: str) -> StringCommand:
        file = shlex.quote(path)
        return framed(
            f"[ -e {file} ] || exit 3; [ -f {file} ] || exit 4;"
            f' [ "$(stat -L -c %s {file})" -le {LARGEST} ] || exit 5;'
            f" stat -L -c '%a %u %U' {file} && base64 -w0 {file} && echo"
        )

    def parse(self, lines: list[str], code: int) -> KeyFile | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code == 5:
            return Unknown(f"it is larger than {LARGEST} bytes, too large for a key")
        if code or not lines:
            return Unknown("it cannot be read")
        mode, uid, owner = lines[0].split(" ", 2)
        int(mode, 8)  # for its ValueError
        data = base64.b64decode("".join(lines[1:]), validate=True)
        held = KeyFile(
            fingerprints=[], refused="", certificate="", form="other", mode=mode,
            owner="root" if uid == "0" else owner,
        )  # fmt: skip
        try:
            held["fingerprints"] = fingerprints(data)
            key = certificate(data)
        except ValueError as error:
            held["refused"] = str(error)
            return held
        held["certificate"] = base64.b64encode(key.binary).decode()
        if data in (key.binary, key.armoured):
            held["form"] = "binary" if data == key.binary else "armour"
        return held


class Found(TypedDict):
    """The fingerprints that the package manager's own tool finds, and its words about the rest."""

    fingerprints: list[str]
    said: str


def _question(fingerprint: str) -> str:
    """A signature that nobody made, which says that this key made it, in base64."""
    made = b"\x05\x02\x65\x53\xf1\x00"  # 2023-11-14
    # What is no fingerprint is the name of no key: it is not found, and the fact does not raise.
    key = bytes.fromhex(fingerprint if _FINGERPRINT.fullmatch(fingerprint) else "00" * 20)
    hashed, plain = made + b"\x16\x21\x04" + key, b"\x09\x10" + key[-8:]
    body = b"\x04\x00\x01\x0a" + len(hashed).to_bytes(2, "big") + hashed  # binary, RSA, SHA-512
    body += len(plain).to_bytes(2, "big") + plain + bytes(2) + b"\x08\x00" + b"\xaa" * 256
    return base64.b64encode(b"\x89" + len(body).to_bytes(2, "big") + body).decode()


class AptFinds(Always[Found]):
    """
    Whether apt's verifier (sqv, else gpgv) finds a key in a keyring, as ``{"fingerprints": […]}``.

    + path: the keyring; + fingerprint: the key's, 40 digits

    Neither lists keys. But asked about a signature that names the key, each says whether it has
    that key before it says that the signature is wrong.
    """

    def command(self, path: str, fingerprint: str) -> StringCommand:
        file = shlex.quote(path)
        return framed(
            f"LC_ALL=C; export LC_ALL; echo {shlex.quote(fingerprint)};"
            f" q() {{ echo {_question(fingerprint)} | base64 -d; }};"
            f" if command -v sqv >/dev/null; then q | sqv --keyring {file} /dev/stdin /dev/null;"
            " elif command -v gpgv >/dev/null; then"
            f" q | gpgv --homedir / --status-fd 1 --keyring {file} - /dev/null;"
            " else exit 3; fi 2>&1; s=$?; [ $s -lt 124 ] || unread sqv $s"  # it "fails" always
        )

    def parse(self, lines: list[str], code: int) -> Found | Unknown:
        if code == 3:
            return Unknown("the host has neither sqv nor gpgv, which apt verifies with")
        asked, *said = lines
        text = "\n".join(said)
        if not text.strip() or ("[GNUPG:]" in text and "SIG " not in text):
            return Unknown("sqv or gpgv, which apt verifies with, did not answer")
        gpgv = f"KEY_CONSIDERED {asked}" in text
        sqv = asked in text and "[GNUPG:]" not in text and "Missing key" not in text
        told = [line for line in said if line.strip() and "[GNUPG:]" not in line] or ["no answer"]
        words = told[-1 if "[GNUPG:]" in text else 0].strip()  # gpgv's reason stands last
        return Found(fingerprints=[asked] if gpgv or sqv else [], said=words)


class RpmFinds(Always[Found]):
    """
    The keys that rpm takes from a file, into a database of its own that goes again.

    + path: the file

    ``{"fingerprints": ["610C7B14E068A878070DA4E99CD0A493D42D0685"], "said": ""}``
    """

    def command(self, path: str) -> StringCommand:
        return framed(
            "command -v rpmkeys >/dev/null || exit 3; d=$(mktemp -d) || exit 4;"
            " trap 'rm -rf \"$d\"' EXIT;"
            f' LC_ALL=C rpmkeys --dbpath "$d" --import {shlex.quote(path)} 2>&1;'
            " LC_ALL=C rpm --dbpath \"$d\" -q gpg-pubkey --qf 'key\\n%{DESCRIPTION}\\n' 2>&1; :"
        )

    def parse(self, lines: list[str], code: int) -> Found | Unknown:
        if code:
            return Unknown(
                "this distribution has no rpm" if code == 3 else "no temporary folder for rpm"
            )
        text = "\n".join(lines)
        said, *keys = f"\n{text}".split("\nkey\n")
        found = [one for key in keys for one in fingerprints(key.strip().encode())]
        return Found(fingerprints=found, said=said.strip().split("\n")[0])
