"""SSH host keys: their fingerprints, and the sentence about one that is new or has changed."""

from __future__ import annotations

import base64
import hashlib
import shlex

from paramiko import MissingHostKeyPolicy, PKey, SSHClient, SSHException
from pyinfra.connectors.sshuserclient import SSHClient as PyinfraClient

from gpurig.errors import HostError


def fingerprint(key: PKey) -> str:
    """The key's fingerprint as ``ssh-keygen -l`` shows it: ``SHA256:…``."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def known_hosts_name(host: str, port: int) -> str:
    """How known_hosts names a host: with its port unless that is 22."""
    return host if port == 22 else f"[{host}]:{port}"


def known_hosts_line(name: str, key: PKey) -> str:
    """The line of known_hosts that trusts this key."""
    return f"{name} {key.get_name()} {key.get_base64()}"


class NewHostKey(SSHException):
    """The host shows a key, and known_hosts has none for it."""

    def __init__(self, name: str, key: PKey) -> None:
        super().__init__(f"no host key for {name}")
        self.name, self.key = name, key


class _Refuse(MissingHostKeyPolicy):
    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        raise NewHostKey(hostname, key)


class StrictClient(PyinfraClient):
    """pyinfra's SSH client (with ~/.ssh/config) that never accepts a key it does not know."""

    def set_missing_host_key_policy(
        self, policy: type[MissingHostKeyPolicy] | MissingHostKeyPolicy
    ) -> None:
        super().set_missing_host_key_policy(_Refuse())


def new_key_error(host: str, error: NewHostKey) -> HostError:
    """What a person needs to decide about a host seen for the first time."""
    line = known_hosts_line(error.name, error.key)
    return HostError(
        "host-key-unknown",
        f"its SSH host key is not known ({error.key.get_name()} {fingerprint(error.key)})",
        where=host,
        do=f"compare the fingerprint, then run: gpurig trust {shlex.quote(host)}"
        f" (or add to known_hosts: {line})",
        host=host,
    )


def changed_key_error(host: str, name: str, got: PKey, expected: PKey) -> HostError:
    """A host that shows another key than the one that was trusted."""
    return HostError(
        "host-key-changed",
        f"its SSH host key has changed: {fingerprint(got)} instead of {fingerprint(expected)};"
        " it was installed anew or somebody is in between",
        where=host,
        do=f"if you know why, run: ssh-keygen -R {shlex.quote(name)}"
        f" and then: gpurig trust {shlex.quote(host)}"
        f" (or add to known_hosts: {known_hosts_line(name, got)})",
        host=host,
    )
