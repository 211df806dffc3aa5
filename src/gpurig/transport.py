"""One open way to one host, over SSH or local: run a command line, watch it, hold the lock."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

from gevent.subprocess import PIPE, Popen
from paramiko import AuthenticationException, BadHostKeyException, SSHException
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.sshuserclient.client import get_host_keys
from pyinfra.connectors.util import CommandOutput, read_output_buffers

from gpurig.errors import HostError
from gpurig.hostkeys import (
    NewHostKey,
    StrictClient,
    changed_key_error,
    known_hosts_name,
    new_key_error,
)

LOCK = "/run/gpurig.lock"  # a folder that only root can write to

# In front of every command line, also behind sudo, which may set one of its own: the modes of what
# gpurig makes do not depend on the host's. What only root may read says `umask 077` itself.
UMASK = "umask 022; "

OnLine = Callable[[str], None]


class Running(NamedTuple):
    """A command at work: its streams, how to wait for its status, how to let go of it."""

    stdin: Any
    stdout: Any
    stderr: Any
    status: Callable[[], int]
    close: Callable[[], None]


class Transport:
    """
    What stays open over all passes of a host.

    + on_line: is called with each line that a command prints while it runs
    """

    def __init__(self) -> None:
        self.on_line: OnLine = lambda line: None
        self._folder: str | None = None
        self._lock: Any = None

    def run(
        self,
        line: str,
        stdin: bytes | BinaryIO = b"",
        timeout: int | None = None,
        told: bool = True,
    ) -> tuple[int, CommandOutput]:
        """Run a shell command line; its exit status and output. Facts' lines are not told."""
        into, out, err, status, close = self.begin(line)
        try:
            # A command may end without reading its input; its status says whether that is bad.
            with suppress(OSError):
                shutil.copyfileobj(
                    BytesIO(stdin) if isinstance(stdin, bytes) else stdin, into, 1 << 20
                )
                into.close()
            watched = [self._watched(stream, told) for stream in (out, err)]
            output = read_output_buffers(watched[0], watched[1], timeout, False, "")
            return status(), output
        finally:
            close()

    def begin(self, line: str) -> Running:
        """Start a shell command line that is talked with while it runs; it ends with its input."""
        return Running(*self._start(UMASK + line))

    def folder(self) -> str:
        """A private folder of this run on the host (mode 0700), for uploads."""
        if self._folder is None:
            code, output = self.run("umask 077; mktemp -d /tmp/gpurig-XXXXXXXXXX")
            if code or not output.stdout_lines:
                raise OSError(f"no private folder could be made: {output.output}")
            self._folder = output.stdout_lines[0]
        return self._folder

    def lock(self, holder: str, as_root: Callable[[str], tuple[str, bytes]]) -> list[str] | None:
        """
        Take the host's lock until `close`; what was answered instead where that is not possible.

        The lock is a flock(2) held by a process that ends with this connection, so a run that was
        killed never leaves it behind. The answer is ``held`` and the holder's own words, or what
        kept the command from running.
        """
        script = (
            f"exec 9>>{LOCK}; if flock -n 9; then printf '%s\\n' {shlex.quote(holder)} >{LOCK};"
            f" echo locked; cat >/dev/null; else echo held; cat {LOCK}; fi"
        )
        line, stdin = as_root(script)
        into, out, err, status, close = self.begin(line)
        into.write(stdin)
        into.flush()
        first = _text(next(iter(out), "")).strip()
        if first == "locked":
            self._lock = (into, status, close)
            return None
        answer = [first, *(_text(line).strip() for lines in (out, err) for line in lines)]
        into.close()
        close()
        return answer

    def close(self) -> None:
        """Give the lock back, remove the private folder, hang up."""
        if self._lock is not None:
            into, status, close = self._lock
            into.close()
            status()
            close()
            self._lock = None
        if self._folder is not None:
            self.run(f"rm -rf {shlex.quote(self._folder)}")
            self._folder = None

    def _watched(self, lines: Iterable[str | bytes], told: bool) -> Iterator[str]:
        for raw in lines:
            line = _text(raw)
            if told:
                self.on_line(line.rstrip("\n"))
            yield line

    def _start(self, line: str) -> tuple[Any, Any, Any, Callable[[], int], Callable[[], None]]:
        """Start a command: its stdin, stdout, stderr, how to get its status, how to let go."""
        raise TypeError("a transport is local or SSH")


def _text(line: str | bytes) -> str:
    return line if isinstance(line, str) else line.decode("utf-8", "replace")


class LocalTransport(Transport):
    """This machine."""

    def _start(self, line: str) -> tuple[Any, Any, Any, Callable[[], int], Callable[[], None]]:
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

        return process.stdin, process.stdout, process.stderr, process.wait, close


class SSHTransport(Transport):
    """
    A host over SSH, with the keys, users and ports of pyinfra's data and ~/.ssh/config.

    + connector: pyinfra's, of which the connection arguments are taken
    """

    user = ""  # who is logged in there

    def __init__(self, connector: SSHConnector) -> None:
        super().__init__()
        get_host_keys.cache.clear()  # pyinfra reads once; `trust` may have added to it
        self.client = StrictClient()
        name = connector.host.name
        arguments = connector.make_paramiko_kwargs()
        hostname = arguments.pop("hostname")
        try:
            self.client.connect(hostname, **arguments)
        except NewHostKey as error:
            raise new_key_error(name, error) from error
        except BadHostKeyException as error:
            port = int(self.client._ssh_config.get("port", 22))
            known = known_hosts_name(error.hostname, port)
            raise changed_key_error(name, known, error.key, error.expected_key) from error
        except AuthenticationException as error:
            user = self.client._ssh_config.get("username") or arguments.get("username") or "you"
            with_what = "password" if arguments.get("password") else "key"
            raise HostError(
                "ssh-refused",
                f"it refuses the {with_what} for user {user}",
                where=name,
                do=f"check ssh_user, ssh_key and ssh_password, or try: ssh {user}@{hostname}",
                host=name,
            ) from error
        except socket.gaierror as error:
            raise HostError(
                "host-unresolved",
                f"the name {hostname} does not resolve",
                where=name,
                do="check its spelling, or set ssh_hostname",
                host=name,
            ) from error
        except (OSError, SSHException, EOFError) as error:
            raise HostError(
                "host-unreachable",
                f"no SSH connection to {hostname} ({_first(error)})",
                where=name,
                do="check that it is up, its address and its port",
                host=name,
            ) from error
        transport = self.client.get_transport()
        if transport is not None:
            transport.set_keepalive(15)
            self.user = transport.get_username() or ""

    def _start(self, line: str) -> tuple[Any, Any, Any, Callable[[], int], Callable[[], None]]:
        stdin, stdout, stderr = self.client.exec_command(line)

        return stdin, stdout, stderr, stdout.channel.recv_exit_status, stdout.channel.close

    def close(self) -> None:
        # A host that is gone takes lock and folder with it, or gives them back when it reboots.
        with suppress(OSError, SSHException, EOFError):
            super().close()
        self.client.close()


def _first(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].removeprefix("[Errno None] ")
