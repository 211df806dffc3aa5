"""Which keys a host is offered: those that ssh would try, from files and from the agent."""

from __future__ import annotations

import base64
import binascii
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from paramiko import Agent, Message, PKey, SSHException
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import PublicBlob, UnknownKeyType

from gpurig.hosts.ssh_config import Options, UnusableConfig, is_default

# Options that name a library which has keys, and what has gpurig use those.
_PROVIDERS = {
    "pkcs11provider": "load its keys into ssh-agent (ssh-add -s LIBRARY)",
    "securitykeyprovider": "load the key into ssh-agent (ssh-add -S LIBRARY)",
}

_PRIVATE = b"openssh-key-v1\0"
_UNUSABLE = (
    SSHException, OSError, ValueError, TypeError, IndexError, UnknownKeyType, UnsupportedAlgorithm,
)  # fmt: skip


class _Agent(Agent):
    """The agent at one socket; paramiko's own asks the environment, which all hosts share."""

    def __init__(self, path: str) -> None:
        AgentSSH.__init__(self)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            connect: Any = AgentSSH._connect  # type: ignore[attr-defined]  # the stubs lack it
            connect(self, connection)
        except (OSError, SSHException):
            connection.close()  # as ssh does: there is no agent


@dataclass(frozen=True)
class _Identity:
    """
    A key that ssh_config names, or that ssh looks for by itself.

    + public: its public bytes; empty where only its passphrase would tell
    """

    file: str
    public: bytes
    default: bool


@dataclass
class Offer:
    """
    The keys of one connection, in ssh's order.

    + by_default: whether keys count that ssh tries although no file of its names them
    + allow_agent: whether an agent is asked; passphrase: for files, or None
    + said: why a key that ssh_config names was not offered
    """

    options: Options
    by_default: bool = True
    allow_agent: bool = True
    passphrase: str | None = None
    said: list[str] = field(default_factory=list)
    agent: Agent | None = None

    def each(self) -> Iterator[PKey]:
        """
        Each key as it is offered, certificates with theirs.

        As ssh_config(5) has it: certificates, what ssh_config names and the agent holds, the rest
        of what it names, the agent's others, and what ssh looks for by itself. ssh offers the
        agent's others before files that it names; a full agent then uses up all tries.
        """
        if self.options.get("pubkeyauthentication") in ("no", "false"):
            return
        identities, held = list(self._identities()), self._held()
        yield from self._certified(identities, held)
        of_both = [key for key in held if any(_blob(key) == one.public for one in identities)]
        yield from of_both
        there = {_blob(key) for key in of_both}
        left = [one for one in identities if not one.public or one.public not in there]
        yield from self._of_files([one for one in left if not one.default])
        if self.options.get("identitiesonly") != "yes":
            yield from (key for key in held if _blob(key) not in there)
        yield from self._of_files([one for one in left if one.default])

    def close(self) -> None:
        """Let go of the agent."""
        if self.agent is not None:
            self.agent.close()

    def beyond(self) -> UnusableConfig | None:
        """What ssh would have asked for a key beside those offered, and gpurig does not."""
        for key, do in _PROVIDERS.items():
            if self.options.get(key) not in ("", "internal", "$SSH_SK_PROVIDER"):
                return self.options.unsupported(key, do)
        return None

    def _identities(self) -> Iterator[_Identity]:
        keys = self.options.keys or ()
        # One alone was named; a list of nothing but such is ssh's own.
        default = len(keys) > 1 and all(map(is_default, keys))
        for key in keys:
            if not self.by_default and is_default(key):
                continue
            file = self.options.path(key)
            if os.path.isfile(file) or os.path.isfile(f"{file}.pub"):
                yield _Identity(file, _public(file), default)
            elif not default:
                self.said.append(f"IdentityFile {file} is missing")

    def _held(self) -> list[PKey]:
        """The agent's keys, in its order."""
        path = self.options.agent if self.allow_agent else ""
        if not path:
            return []
        self.agent = _Agent(path)
        return list(self.agent.get_keys())

    def _certified(self, identities: Sequence[_Identity], held: Sequence[PKey]) -> Iterator[PKey]:
        named = [self.options.path(file) for file in self.options.certificates]
        for file in named or [f"{one.file}-cert.pub" for one in identities]:
            blob = _certificate(file)
            if blob is None:
                if named:
                    self.said.append(f"CertificateFile {file} cannot be read")
                continue
            key = self._signing(_certified_key(blob.key_blob), identities, held)
            if key is not None:
                key.public_blob = blob
                yield key
                key.public_blob = None

    def _signing(
        self, public: bytes, identities: Sequence[_Identity], held: Sequence[PKey]
    ) -> PKey | None:
        """The private key of a certificate."""
        for key in held:
            if _blob(key) == public:
                return key
        files = [one for one in identities if one.public == public]
        return next(self._of_files(files), None)

    def _of_files(self, identities: Sequence[_Identity]) -> Iterator[PKey]:
        for one in identities:
            try:
                key = PKey.from_path(one.file, (self.passphrase or "").encode() or None)
            except _UNUSABLE as error:
                if not one.default:
                    self.said.append(_why(one, error))
                continue
            key.public_blob = None  # a certificate beside it has had its turn
            yield key


def _why(identity: _Identity, error: BaseException) -> str:
    kind = Message(identity.public).get_text() if identity.public else ""
    if kind.startswith("sk-"):
        why = "is the key of a security token, which gpurig uses through an agent"
        return f"IdentityFile {identity.file} {why} (ssh-add {identity.file})"
    if isinstance(error, TypeError) or "ncrypted" in str(error) or "assword" in str(error):
        return f"IdentityFile {identity.file} has a passphrase, and no agent holds it"
    if not os.path.isfile(identity.file) or _of_line(_bytes(identity.file)):
        return f"IdentityFile {identity.file} is a public key, and no agent holds its private one"
    return f"IdentityFile {identity.file} cannot be read"


def _blob(key: PKey) -> bytes:
    """The public bytes; of an agent's certificate, all of it."""
    return key.blob if isinstance(key, AgentKey) else key.asbytes()


def _public(file: str) -> bytes:
    """The public half of a key: from its file, if that tells it unasked, or from ``FILE.pub``."""
    data = _bytes(file)
    found = _of_private(data) or _of_line(data) or _of_line(_bytes(f"{file}.pub"))
    if found or not data:
        return found
    try:
        return PKey.from_path(file).asbytes()
    except _UNUSABLE:
        return b""


def _of_private(data: bytes) -> bytes:
    lines = data.split(b"\n")
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" not in lines[0]:
        return b""
    text = b"".join(line.strip() for line in lines if b"-----" not in line)
    try:
        raw = base64.b64decode(text)
        message = Message(raw.removeprefix(_PRIVATE))
        for _ in range(3):  # cipher, how its key is made of the passphrase, with what
            message.get_string()
        return message.get_string() if message.get_int() == 1 else b""
    except _UNUSABLE:
        return b""


def _of_line(data: bytes) -> bytes:
    words = data.split(b"\n")[0].split()
    if len(words) < 2:
        return b""
    try:
        found = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if found[4 : 4 + len(words[0])] == words[0] else b""


def _certificate(file: str) -> PublicBlob | None:
    try:
        blob = PublicBlob.from_file(file)
    except _UNUSABLE:
        return None
    return blob if "-cert-" in blob.key_type else None


def _certified_key(blob: bytes) -> bytes:
    """The public key in a certificate: its type without the suffix, the nonce left out."""
    message = Message(blob)
    kind = message.get_text().partition("-cert-")[0]
    message.get_string()
    parts = {"ssh-rsa": 2, "ssh-ed25519": 1}.get(kind, 2)
    key: Any = Message()
    key.add_string(kind)
    for _ in range(parts):
        key.add_string(message.get_string())
    return bytes(key.asbytes())


def _bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""
