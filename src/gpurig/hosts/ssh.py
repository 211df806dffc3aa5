"""The way to a host over SSH: connected, let in, and each refusal in one sentence."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from paramiko import AuthenticationException, Channel, SSHException
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.ssh_util import load_key_with_certificate

from gpurig.contract.limits import Limits
from gpurig.errors import HostError
from gpurig.hosts.answer import PIECE, Read
from gpurig.hosts.client import StrictClient
from gpurig.hosts.exchange import BROKEN, Unbegun
from gpurig.hosts.hostkeys import (
    UnreadableKnownHosts,
    UntrustedHostKey,
    untrusted_key_error,
)
from gpurig.hosts.ssh_config import UnusableConfig
from gpurig.hosts.transport import GRACE, Transport

STEPS = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")  # as paramiko names them
STEPS_TOGETHER = 4


class SSHTransport(Transport):
    """
    A host over SSH, with the keys, users and ports of pyinfra's data and ~/.ssh/config.

    + connector: pyinfra's, of which the connection arguments are taken
    + target: what names the host on gpurig's command line, where that is not its name
    """

    user = ""  # who is logged in there

    def __init__(
        self, connector: SSHConnector, limits: Limits | None = None, target: str = ""
    ) -> None:
        super().__init__(connector.host.name, limits)
        self.client = StrictClient()
        name, seconds = self.name, self.limits.connect
        _load_key(connector)
        arguments = connector.make_paramiko_kwargs()
        hostname = arguments.pop("hostname")
        arguments |= dict.fromkeys(STEPS, seconds)
        late = TimeoutError(f"not within {STEPS_TOGETHER * seconds} s")
        try:
            with gevent.Timeout(STEPS_TOGETHER * seconds, late):
                self.client.connect(hostname, **arguments)
        except UnusableConfig as error:
            raise HostError("ssh-config", error.what, name, error.do, name) from error
        except UntrustedHostKey as error:
            raise untrusted_key_error(name, error, target) from error
        except UnreadableKnownHosts as error:
            raise HostError(
                "known-hosts", str(error), name, "make it readable, or set another", name
            ) from error
        except AuthenticationException as error:
            raise self._refused(error, hostname, arguments) from error
        except socket.gaierror as error:
            raise HostError(
                "host-unresolved",
                f"the name {hostname} does not resolve",
                where=name,
                do="check its spelling, or set ssh_hostname",
                host=name,
            ) from error
        except BROKEN as error:
            if "No authentication methods" in str(error):
                raise self._refused(error, hostname, arguments) from error
            if at_fault := self.client.at_fault():
                raise HostError("ssh-config", at_fault.what, name, at_fault.do, name) from error
            late_too = isinstance(error, TimeoutError) or "banner" in str(error)
            more = f"; {self.limits.raised('connect')}" if late_too else ""
            raise HostError(
                "host-unreachable",
                f"no SSH connection to {hostname} ({_first(error)})",
                where=name,
                do=f"check that the host is up, and its address and port{more}",
                host=name,
            ) from error
        transport = self.client.get_transport()
        if transport is not None:
            transport.set_keepalive(15)
            self.user = transport.get_username() or ""

    def _refused(self, error: BaseException, hostname: str, arguments: dict[str, Any]) -> HostError:
        """The sentence for a host that does not let us in."""
        if "timeout" in str(error):
            return self.limits.silent(self.name, "connect", "logging in")
        client: StrictClient = vars(error).get("client", self.client)
        if client.offer and (beyond := client.offer.beyond()):
            return HostError("ssh-config", beyond.what, self.name, beyond.do, self.name)
        user = client._ssh_config.get("username") or arguments.get("username") or "you"
        with_what = "password" if arguments.get("password") else "key"
        who = "the host" if client is self.client else f"{client.host}, on the way to it,"
        what = f"{who} refuses the {with_what} of user {user}"
        if not isinstance(error, AuthenticationException):
            what = f"there is neither a key nor a password to log in with as user {user}"
        do = f"check ssh_user, ssh_key and ssh_password, or try: ssh {user}@{hostname}"
        if client.refused > 1 and not client.is_open():
            what += f"; it ended the connection after {client.refused} keys"
            do = "set IdentityFile and IdentitiesOnly for it in ssh_config, or ssh_key"
        if client.offer and client.offer.said:
            what += f" ({'; '.join(client.offer.said)})"
        return HostError("ssh-refused", what, where=self.name, do=do, host=self.name)

    def is_there(self) -> bool:
        transport = self.client.get_transport()
        return transport is not None and transport.is_active()

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        transport = self.client.get_transport()
        if transport is None:
            raise OSError("not connected")
        channel = transport.open_session(timeout=self.limits.connect)
        try:
            channel.exec_command(line)
        except SSHException as error:
            if not transport.is_active():
                raise
            raise Unbegun("the host refuses to run a command") from error
        out, err = (partial(read, PIECE) for read in (channel.recv, channel.recv_stderr))
        return _Stdin(channel), out, err, channel.recv_exit_status, channel.close

    def close(self) -> None:
        # A host that is gone takes lock and folder with it, or gives them back when it reboots.
        with suppress(*BROKEN, HostError):
            super().close()
        with gevent.Timeout(GRACE, False):
            self.client.close()


class _Stdin:
    """A channel's input; paramiko's own file complains where the garbage collector closes it."""

    def __init__(self, channel: Channel) -> None:
        self.write, self.close = channel.sendall, channel.shutdown_write

    def flush(self) -> None:
        """Nothing is kept back."""


def _load_key(connector: SSHConnector) -> None:
    """Load the inventory's private key into pyinfra's cache, which would ask for a passphrase."""
    file, name = connector.data["ssh_key"], connector.host.name
    keys = connector.state.private_keys
    if not file or file in keys:
        return
    try:
        keys[file] = load_key_with_certificate(
            file, connector.data["ssh_key_password"], cwd=connector.state.cwd, allow_prompt=False
        )
    except (PyinfraError, SSHException, OSError, ValueError) as error:
        raise HostError(
            "ssh-key", f"ssh_key cannot be used ({_first(error)})", name,
            "check the file, or load the key into ssh-agent", name,
        ) from error  # fmt: skip


def _first(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].removeprefix("[Errno None] ")
