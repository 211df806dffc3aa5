"""The SSH client: it goes the way that ssh_config says, and checks the key of each host on it."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import Any

from paramiko import SSHException
from paramiko.channel import Channel
from pyinfra.connectors.sshuserclient import client as pyinfra_client

from gpurig.hosts.hostkeys import CheckingClient, inventory_s_file
from gpurig.hosts.offered import Offer
from gpurig.hosts.proxy_program import ProxyProgram
from gpurig.hosts.ssh_config import Jump, Options, UnusableConfig, ask, in_a_circle

_FILE = "_pyinfra_ssh_known_hosts_file"

# The hosts that lead to the one that is connected to, from the one that was asked for.
_way: ContextVar[tuple[Jump, ...]] = ContextVar("gpurig-way", default=())


class StrictClient(pyinfra_client.SSHClient, CheckingClient):
    """pyinfra's SSH client (with ~/.ssh/config) that never accepts a key it does not know."""

    _transport: Any  # paramiko's
    offer: Offer | None = None  # None where the inventory names the key
    refused = 0  # how many keys were
    refusal: SSHException | None = None  # of the last one

    # paramiko names each argument; pyinfra passes on all that it does not know.
    def connect(self, hostname: str, **arguments: Any) -> None:  # type: ignore[override]  # see above
        """
        As pyinfra's; a known_hosts file that is given counts for the hops on the way as well.

        UnusableConfig where ssh_config does not say how the host is reached.
        """
        given = os.path.expanduser(str(arguments.pop(_FILE, None) or ""))
        token = inventory_s_file.set(given or inventory_s_file.get())
        arguments[_FILE] = os.devnull  # what pyinfra reads for paramiko, which has to know no key
        try:
            super().connect(hostname, **arguments)  # type: ignore[no-untyped-call]  # pyinfra's
        except SSHException as error:
            vars(error).setdefault("client", self)  # which of the hosts on the way it was
            raise
        finally:
            inventory_s_file.reset(token)

    def parse_config(
        self,
        hostname: str,
        initial_cfg: Any = None,
        ssh_config_file: Any = None,
        strict_host_key_checking: Any = None,
    ) -> Any:
        """What pyinfra's client connects with, in its order, as ssh_config says."""
        given = initial_cfg if initial_cfg is not None else {}
        given |= {"look_for_keys": True, "allow_agent": True} | given
        file, seconds = ssh_config_file or "", int(given.get("timeout") or 30)
        user, port = given.get("username", ""), given.get("port", 0)
        self.options = options = ask(hostname, user, port, file, seconds)
        found = {**given, "port": options.port, "username": options.user}
        if "pkey" not in given and options.keys is not None:
            # Keys are offered by `_auth`; paramiko, which has an order of its own, gets none.
            self.offer = Offer(options, given["look_for_keys"], given["allow_agent"])
            given["look_for_keys"] = given["allow_agent"] = False
        if "sock" not in given:
            _add_way(found, Jump(hostname, user, port), options, file)
        policy, keep_alive = pyinfra_client.get_missing_host_key_policy("yes"), 0
        forward = options.get("forwardagent") == "yes"
        return options.host, found, forward, policy, (os.devnull,), keep_alive, None

    def _auth(self, username: str, password: str | None, *keys: Any) -> None:
        """As paramiko's, after the keys that ssh_config tells."""
        paramiko_s: Any = super()  # of which the stubs lack this method
        if self.offer is None:
            paramiko_s._auth(username, password, *keys)
            return
        self.offer.passphrase = keys[-1] or password
        try:
            if not self._let_in(username, password):
                paramiko_s._auth(username, password, *keys)
        except SSHException as error:
            self.offer.close()
            none_left = "No authentication" in str(error)
            raise (self.refusal if self.refusal and none_left else error) from error
        self._agent = self.offer.agent  # this client closes it

    def is_open(self) -> bool:
        """Whether the host still listens."""
        return self._transport is not None and self._transport.is_active()

    def at_fault(self) -> UnusableConfig | None:
        """What is wrong with the ProxyCommand that should have led to the host, if it ended."""
        way: Any = vars(self).get("_ssh_config", {}).get("sock")
        if isinstance(way, ProxyProgram) and (failure := way.failure()):
            return self.options.ended("proxycommand", *failure)
        return None

    def _let_in(self, user: str, password: str | None) -> bool:
        """Whether one of the offered keys is enough; False where a password may do it."""
        assert self.offer
        for key in self.offer.each():
            try:
                left = set(self._transport.auth_publickey(user, key))
            except SSHException as error:
                self.refusal, self.refused = error, self.refused + 1
                if not self._transport.is_active():
                    raise
                continue
            if left & {"password", "keyboard-interactive"} and password is None:
                self._transport.auth_interactive_dumb(user)
            elif left:
                return False
            return True
        return False


def _add_way(found: dict[str, Any], to: Jump, options: Options, file: str) -> None:
    """The connection through which the host is reached, if it is not reached directly."""
    if command := options.get("proxycommand"):
        if options.get("proxyusefdpass") == "yes":
            raise options.unsupported("proxyusefdpass", "use a ProxyCommand that stays")
        found["sock"] = ProxyProgram(options.filled(command))
    elif options.jumps:
        found["sock"] = _through(to, options, file, found.get("timeout"))


def _through(to: Jump, options: Options, file: str, timeout: float | None) -> Channel:
    way = (*_way.get(), to)
    sock: Any = None
    hops = options.jumps
    for number, hop in enumerate(hops):
        if hop in way:
            raise in_a_circle((*way, hop))
        token = _way.set(way)
        client = StrictClient()
        more: dict[str, Any] = {"username": hop.user} if hop.user else {}
        more |= {"port": hop.port} if hop.port else {}
        more |= {"timeout": timeout} if timeout else {}
        more |= {"sock": sock} if sock is not None else {}
        try:
            client.connect(hop.host, _pyinfra_ssh_config_file=file or None, **more)
        finally:
            _way.reset(token)
        if number + 1 < len(hops):
            after = hops[number + 1]
            next_one = ask(after.host, after.user, after.port, file)
        else:
            next_one = options
        place = options.host, options.port, next_one.host, next_one.port
        sock = client.gateway(*place, timeout)  # type: ignore[no-untyped-call]  # pyinfra's
    channel: Channel = sock
    return channel
