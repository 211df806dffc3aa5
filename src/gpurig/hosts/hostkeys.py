"""SSH host keys: the client that checks them, also of each hop, and the sentence about each key."""

from __future__ import annotations

import base64
import hashlib
import shlex
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from paramiko import MissingHostKeyPolicy, PKey, SSHClient, SSHException, Transport

from gpurig.errors import HostError
from gpurig.hosts.known_hosts import (
    Answer,
    Line,
    Verdict,
    judge,
    kinds,
    known_hosts_name,
    read_lines,
)
from gpurig.hosts.ssh_config import Options
from gpurig.settings.called import called

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_KRL = b"SSHKRL\n\x00"  # a key revocation list, as ssh-keygen -k writes it

# The inventory's known_hosts file, for the hops on the way to a host as well.
inventory_s_file: ContextVar[str] = ContextVar("gpurig-known-hosts", default="")


def fingerprint(key: PKey | bytes) -> str:
    """The key's fingerprint as ``ssh-keygen -l`` shows it: ``SHA256:…``."""
    digest = hashlib.sha256(key if isinstance(key, bytes) else key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def known_hosts_line(name: str, key: PKey) -> str:
    """The line of known_hosts that trusts this key."""
    return f"{name} {key.get_name()} {key.get_base64()}"


class UntrustedHostKey(SSHException):
    """
    A host, or a hop on the way to it, shows a key that known_hosts does not let in.

    + name: how known_hosts names the host
    + file: the first of the user's own files that is looked in; empty where there is none
    """

    def __init__(self, name: str, key: PKey, answer: Answer, file: str) -> None:
        super().__init__(f"the host key of {name} is {answer.verdict.value}")
        self.name, self.key, self.answer, self.file = name, key, answer, file


class UnreadableKnownHosts(SSHException):
    """A file of known or revoked keys is there and cannot be read: what it revokes is unknown."""


class _Refuse(MissingHostKeyPolicy):
    """Asked about every key, since paramiko's own table is empty (`StrictClient.connect`)."""

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        assert isinstance(client, CheckingClient)
        client.check(key)


class CheckingClient(SSHClient):
    """
    paramiko's client with OpenSSH's rules in the place of its own.

    paramiko takes ``@revoked`` and ``@cert-authority`` for names of hosts and knows no patterns.
    """

    options: Options  # of ssh_config, for this host

    def connect(self, hostname: str, port: int = 22, **arguments: Any) -> None:  # type: ignore[override]
        self.host, self.port = hostname, int(port)  # ssh_config's is text
        self.alias = self.options.get("hostkeyalias")
        self.lines = [line for file in self._files() for line in _read(file)]
        # A key exchange by Kerberos would leave the host key unchecked.
        arguments |= {"gss_kex": False, "transport_factory": self._transport_of}
        super().connect(hostname, self.port, **arguments)

    @property
    def name(self) -> str:
        """How known_hosts names the host."""
        return self.alias.lower() or known_hosts_name(self.host.lower(), self.port)

    def check(self, key: PKey) -> None:
        """Raise `UntrustedHostKey` for every key that is not known."""
        shown = key.asbytes()
        answer = judge(self.lines, self.host, self.port, self.alias, shown)
        if revoked := self._revoked(shown):
            answer = Answer(Verdict.REVOKED, (revoked,))
        if answer.verdict is not Verdict.KNOWN:
            raise UntrustedHostKey(self.name, key, answer, next(iter(self._user_files()), ""))

    def set_missing_host_key_policy(
        self, policy: type[MissingHostKeyPolicy] | MissingHostKeyPolicy
    ) -> None:
        super().set_missing_host_key_policy(_Refuse())

    def _transport_of(self, sock: Any, **arguments: Any) -> Transport:
        """A connection that asks for a key of a type that the host is known by."""
        transport = Transport(sock, **arguments)
        known = kinds(self.lines, self.name)
        if not known and not self.alias:
            known = kinds(self.lines, self.host.lower())
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda one: _plain(one) not in known)
        return transport

    def _user_files(self) -> list[str]:
        given = inventory_s_file.get()
        return [given] if given else self.options.paths("userknownhostsfile", USER_FILES)

    def _files(self) -> list[str]:
        named = self.options.paths("globalknownhostsfile", GLOBAL_FILES)
        return [*self._user_files(), *named]

    def _revoked(self, key: bytes) -> Line | None:
        """The line of ssh_config's RevokedHostKeys that has this key."""
        for file in self.options.paths("revokedhostkeys"):
            data = _bytes(file, missing_is_empty=False)
            if data.startswith(_KRL):
                raise UnreadableKnownHosts(f"{file} is a KRL, which gpurig cannot read")
            text = data.decode("utf-8", "replace")
            listed = "\n".join(f"* {line.strip()}" for line in text.split("\n"))
            for line in read_lines(listed, file):
                if line.key == key:
                    return line
        return None


def _plain(algorithm: str) -> str:
    """The type of key behind a signature algorithm."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _read(file: str) -> list[Line]:
    return read_lines(_bytes(file, missing_is_empty=True).decode("utf-8", "replace"), file)


def _bytes(file: str, missing_is_empty: bool) -> bytes:
    try:
        return Path(file).read_bytes()
    except FileNotFoundError as error:
        if missing_is_empty:
            return b""
        raise UnreadableKnownHosts(f"{file} is missing") from error
    except OSError as error:
        raise UnreadableKnownHosts(f"{file} cannot be read ({error.strerror})") from error


def untrusted_key_error(host: str, error: UntrustedHostKey, target: str = "") -> HostError:
    """
    What a person needs to decide about a key: whose, which one, what is known instead.

    + target: the words of a command line that name the host, where that is not its name alone
    """
    seen, lines = fingerprint(error.key), error.answer.lines
    where = ", ".join(line.where for line in lines)
    line = f"(or add to known_hosts: {known_hosts_line(error.name, error.key)})"
    trust = f"{called()} trust {target or shlex.quote(host)}"
    shown = f"{error.key.get_name()} {seen}"
    compare = f"compare the fingerprint, then run: {trust} {line}"
    match error.answer.verdict:
        case Verdict.REVOKED:
            return HostError(
                "host-key-revoked",
                f"the SSH host key of {error.name} is revoked in {where} ({shown})",
                where=host,
                do=f"anyone with that key can impersonate {error.name}: give the host a new key",
                host=host,
            )
        case Verdict.CHANGED:
            known = " or ".join(dict.fromkeys(fingerprint(one.key) for one in lines))
            file = lines[0].where.rpartition(":")[0]
            return HostError(
                "host-key-changed",
                f"the SSH host key of {error.name} has changed: {seen}"
                f" instead of {known} ({where}). Either the host was"
                " reinstalled, or someone is intercepting the connection",
                where=host,
                do="if you know the cause, run: ssh-keygen -R"
                f" {shlex.quote(error.name)} -f {shlex.quote(file)} and"
                f" then: {trust} {line}",
                host=host,
            )
        case Verdict.CERTIFIED:
            what = (
                "known_hosts has only a certificate authority for"
                f" {error.name} ({where}), and gpurig does not verify"
                f" certificates; the host shows the key {shown}"
            )
            return HostError("host-key-unknown", what, where=host, do=compare, host=host)
        case _:
            what = f"the SSH host key of {error.name} is not known ({shown})"
            return HostError("host-key-unknown", what, where=host, do=compare, host=host)
