"""One open way to one host, over SSH or local: run a command line, watch it, hold the lock."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

import gevent
from gevent.os import nb_read
from gevent.subprocess import PIPE, Popen
from paramiko import AuthenticationException, Channel, SSHException
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.ssh_util import load_key_with_certificate
from pyinfra.connectors.util import CommandOutput

from gpurig.contract.limits import MB, Limits
from gpurig.errors import HostError
from gpurig.hosts import host_lock
from gpurig.hosts.exchange import BROKEN, PIECE, Flooded, Read, Room, Running, Silent, follow, lines
from gpurig.hosts.hostkeys import (
    StrictClient,
    UnreadableKnownHosts,
    UntrustedHostKey,
    untrusted_key_error,
)

GRACE = 10  # seconds for letting go, and beyond a bound that the host itself should keep
FILE = 256  # how often `Limits.answer` a file from a host may have
STEPS = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")  # as paramiko names them
STEPS_TOGETHER = 4
LOCKING = "taking its lock"

# In front of every command line, also behind sudo, which may set one of its own: the modes of what
# gpurig makes do not depend on the host's. What only root may read says `umask 077` itself.
UMASK = "umask 022; "

OnLine = Callable[[str], None]


class Transport:
    """
    What stays open over all passes of a host.

    + name: of the host, for sentences; limits: how long and how much it may answer
    + on_line: is called with each line that a command prints while it runs
    """

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        self.name, self.limits = name, limits or Limits()
        self.on_line: OnLine = lambda line: None
        self._folder: str | None = None
        self._lock: Running | None = None
        self._silent = False

    def run(
        self,
        line: str,
        stdin: bytes | BinaryIO = b"",
        timeout: int | None = None,
        told: bool = True,
        limit: str = "command",
        each: OnLine | None = None,
        beat: float = 0,
    ) -> tuple[int, CommandOutput]:
        """
        Run a shell command line; its exit status and output. Facts' lines are not told.

        + timeout: seconds for the whole command, TimeoutError when they have passed
        + limit: of `Limits`, for how long it may be silent
        + each: is given the lines of standard output, which are then neither told nor kept, and of
          which there may be much more
        + beat: as `follow` has it

        HostError where it is silent for too long or says too much.
        """

        def on_line(stream: str, text: str) -> None:
            if each and stream == "stdout":
                each(text)
            elif told:
                self.on_line(text)

        seconds = getattr(self.limits, limit) + (GRACE if limit == "fact" else 0)
        room = Room(self.limits.answer * MB * (FILE if each else 1))
        running = self.begin(line)
        try:
            with gevent.Timeout(
                timeout, TimeoutError(f"the command did not end within {timeout} s")
            ):
                bounds = self.limits.connect, seconds
                return follow(running, stdin, bounds, room, on_line, each is None, beat)
        except Silent as error:
            self._silent = True
            key = limit if error.begun else "connect"
            doing = "" if error.begun else "starting its shell"
            raise self.limits.silent(self.name, key, doing) from error
        except Flooded as error:
            raise self.limits.flooded(self.name) from error
        finally:
            self._let_go(running)

    def begin(self, line: str) -> Running:
        """Start a shell command line that is talked with while it runs; it ends with its input."""
        mark = f"gpurig-{secrets.token_hex(8)}"
        seconds = self.limits.connect
        with gevent.Timeout(
            seconds, self.limits.silent(self.name, "connect", "starting a command")
        ):
            return Running(*self._start(f"echo {mark}; {UMASK}{line}"), mark.encode())

    def folder(self) -> str:
        """A private folder of this run on the host (mode 0700), for uploads."""
        if self._folder is None:
            code, output = self.run("umask 077; mktemp -d /tmp/gpurig-XXXXXXXXXX", limit="fact")
            if code or not output.stdout_lines:
                raise OSError(f"gpurig cannot make a private folder there: {output.output}")
            self._folder = output.stdout_lines[0]
        return self._folder

    def lock(self, holder: str, as_root: Callable[[str], tuple[str, bytes]]) -> list[str] | None:
        """
        Take the host's lock until `close`; what was answered instead where that is not possible.

        The lock is held by a process that ends with this connection, so a run that was killed never
        leaves it behind. The answer is ``held`` and the holder's own words, or what kept the
        command from running. HostError where nothing is answered.
        """
        line, stdin = as_root(host_lock.script(holder))
        running = self.begin(line)
        try:
            with gevent.Timeout(self.limits.fact, self.limits.silent(self.name, "fact", LOCKING)):
                running.stdin.write(stdin)
                running.stdin.flush()
                said = lines(running.out, Room(MB))
                first = next(said, "").strip()
                if first == "locked":
                    self._lock = running
                    return None
                running.stdin.close()
                errors = lines(running.err, Room(MB))
                return [first, *(line.strip() for one in (said, errors) for line in one)]
        except Flooded as error:
            raise self.limits.flooded(self.name) from error
        finally:
            if self._lock is not running:
                self._let_go(running)

    def close(self) -> None:
        """Give the lock back, remove the private folder, hang up; what is silent is not asked."""
        lock, self._lock = self._lock, None
        folder, self._folder = self._folder, None
        if lock is not None:
            with gevent.Timeout(GRACE, False), suppress(*BROKEN):
                lock.stdin.close()
                if not self._silent:
                    lock.status()
            self._let_go(lock)
        if folder is not None and not self._silent:
            with gevent.Timeout(GRACE, False):
                self.run(f"rm -rf {shlex.quote(folder)}")

    def _let_go(self, running: Running) -> None:
        with gevent.Timeout(GRACE, False), suppress(*BROKEN):
            running.close()

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        """Start a command: its stdin, how stdout and stderr are read, its status, the end of it."""
        raise TypeError("a transport is local or SSH")


class LocalTransport(Transport):
    """This machine."""

    def __init__(self, name: str = "this machine", limits: Limits | None = None) -> None:
        super().__init__(name, limits)

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        # The virtual environment of gpurig itself is none of the host's business.
        environment = {
            k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME")
        }
        process = Popen(
            ["/bin/sh", "-c", line], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )

        def close() -> None:
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()

        out, err = (
            partial(nb_read, one.fileno(), PIECE) for one in (process.stdout, process.stderr)
        )
        return process.stdin, out, err, process.wait, close


class SSHTransport(Transport):
    """
    A host over SSH, with the keys, users and ports of pyinfra's data and ~/.ssh/config.

    + connector: pyinfra's, of which the connection arguments are taken
    """

    user = ""  # who is logged in there

    def __init__(self, connector: SSHConnector, limits: Limits | None = None) -> None:
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
        except UntrustedHostKey as error:
            raise untrusted_key_error(name, error) from error
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

    def _refused(
        self, error: AuthenticationException, hostname: str, arguments: dict[str, Any]
    ) -> HostError:
        """The sentence for a host that does not let us in."""
        if "timeout" in str(error):
            return self.limits.silent(self.name, "connect", "logging in")
        user = self.client._ssh_config.get("username") or arguments.get("username") or "you"
        with_what = "password" if arguments.get("password") else "key"
        return HostError(
            "ssh-refused",
            f"the host refuses the {with_what} of user {user}",
            where=self.name,
            do=f"check ssh_user, ssh_key and ssh_password, or try: ssh {user}@{hostname}",
            host=self.name,
        )

    def _start(self, line: str) -> tuple[Any, Read, Read, Callable[[], int], Callable[[], None]]:
        transport = self.client.get_transport()
        if transport is None:
            raise OSError("not connected")
        channel = transport.open_session(timeout=self.limits.connect)
        channel.exec_command(line)
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
