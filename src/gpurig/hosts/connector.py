"""gpurig's connector for pyinfra: private uploads, hidden passwords, facts that are read once."""

from __future__ import annotations

import base64
import secrets
import shlex
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from typing import Any

from pyinfra import logger
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.util import get_file_io
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command

from gpurig.contract.attended import Attended
from gpurig.contract.fact import late
from gpurig.errors import GpurigError, HostError
from gpurig.hosts import attended
from gpurig.hosts.exchange import Running
from gpurig.hosts.host_lock import LOCK
from gpurig.hosts.transport import UMASK, LocalTransport, SSHTransport, Transport

LOCAL = "@local"

# True while a fact is being read: only then may an answer come from the cache.
reading_fact: ContextVar[bool] = ContextVar("gpurig-reading-fact", default=False)

_BATCH_BYTES = 100_000  # Linux allows 131,072 bytes in one argument (MAX_ARG_STRLEN)
_LATE = 124  # the exit status of timeout(1)


class GpurigConnector(BaseConnector):
    """
    ``@gpurig/HOST`` over SSH, ``@gpurig/@local`` on this machine; the host keeps its plain name.

    Differs from pyinfra's own in four things: host keys are always checked, a sudo password goes
    to sudo's stdin and never into a command line, uploads go through a private folder, and facts
    are read once until something is changed.
    """

    handles_execution = True
    data_cls = SSHConnector.data_cls
    data_meta = SSHConnector.data_meta

    transport: Transport | None = None

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self.facts: dict[str, tuple[bool, CommandOutput]] = {}
        self.failure: tuple[str, list[str]] | None = None  # last failed command and its output
        self.commands = 0  # how many commands were run on the host: each is a round trip

    @staticmethod
    def make_names_data(name: str) -> Generator[tuple[str, dict[str, Any], list[str]], None, None]:
        yield name, {} if name == LOCAL else {"ssh_hostname": name}, ["@gpurig"]

    def connect(self) -> None:
        if self.transport is None:
            try:
                local = self.host.name == LOCAL
                self.transport = LocalTransport() if local else SSHTransport(self.ssh())
            except GpurigError as error:
                raise ConnectError(str(error)) from error

    def ssh(self) -> SSHConnector:
        """pyinfra's connector for the same host, which knows its connection arguments."""
        return SSHConnector(self.state, self.host)

    def disconnect(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    @property
    def _open(self) -> Transport:
        if self.transport is None:
            raise OSError("not connected")
        return self.transport

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        key = _key(command, arguments)
        if reading_fact.get() and key in self.facts:
            return self.facts[key]
        if not reading_fact.get():
            self.facts.clear()
        exit_codes = arguments.pop("_success_exit_codes", None) or [0]
        logger.debug("%s: %s", self.host.name, command)
        bounded = StringCommand(self._in_time(command)) if reading_fact.get() else command
        code, output = self.execute(bounded, arguments)
        ok = code in exit_codes
        if reading_fact.get() and code == _LATE:
            ok, output = True, self._late()
        if not ok:
            self.failure = (str(command), output.output_lines)
            logger.debug("%s: exit %s: %s", self.host.name, code, output.output)
        if reading_fact.get():
            self.facts[key] = ok, output
        return ok, output

    def prefetch(self, commands: Iterable[StringCommand], arguments: dict[str, Any]) -> None:
        """Read many facts at once: their commands in one shell, answers kept as if read singly."""
        batch: list[tuple[str, str]] = []
        size = 0
        for command in commands:
            script = self._in_time(command)
            if batch and size + len(script) > _BATCH_BYTES:
                self._fetch(batch, arguments)
                batch, size = [], 0
            batch.append((_key(command, arguments), script))
            size += len(script)
        if batch:
            self._fetch(batch, arguments)

    def _in_time(self, command: StringCommand) -> str:
        """A fact's command, which the host itself ends: a daemon there may never answer."""
        seconds = self._open.limits.fact
        return f"timeout -k 5 {seconds} sh -c {shlex.quote(command.get_raw_value())}"

    def _late(self) -> CommandOutput:
        return CommandOutput([OutputLine("stdout", late(self._open.limits))])

    def _fetch(self, batch: list[tuple[str, str]], arguments: dict[str, Any]) -> None:
        mark = f"gpurig-{secrets.token_hex(8)}"  # no fact prints this by accident
        script = "\n".join(
            f"{fact} 2>/dev/null </dev/null; printf '\\n%s %s\\n' {mark} $?" for _, fact in batch
        )
        token = reading_fact.set(True)
        try:
            code, output = self.execute(StringCommand(script), arguments)
        finally:
            reading_fact.reset(token)
        if code:
            self.failure = ("reading facts", output.output_lines)
            raise sudo_error(self.host.name, output.output_lines) or HostError(
                "facts-unreadable",
                f"no shell runs there ({' '.join(output.output_lines[-1:])})",
                where=self.host.name,
                host=self.host.name,
            )
        lines: list[str] = []
        answers = iter(batch)
        for line in output.stdout_lines:
            if not line.startswith(mark):
                lines.append(line)
                continue
            if lines and not lines[-1]:  # the newline that printf puts before the mark
                lines.pop()
            told = CommandOutput([OutputLine("stdout", each) for each in lines])
            late = line == f"{mark} {_LATE}"
            answer = (True, self._late()) if late else (line == f"{mark} 0", told)
            self.facts[next(answers)[0]] = answer
            lines = []

    def execute(
        self,
        command: StringCommand,
        arguments: dict[str, Any],
        each: Callable[[str], None] | None = None,
    ) -> tuple[int, CommandOutput]:
        """
        Run a command under pyinfra's connector arguments: its exit status and output.

        + each: is given the lines of standard output instead
        """
        arguments = dict(arguments)
        timeout = arguments.pop("_timeout", None)
        stdin = arguments.pop("_stdin", None)
        arguments.pop("_get_pty", None)
        sudo = arguments.pop("_sudo", False)
        user = arguments.pop("_sudo_user", None)
        password = arguments.pop("_sudo_password", None)
        for name in ("_use_sudo_login", "_preserve_sudo_env", "_success_exit_codes"):
            arguments.pop(name, None)
        line = make_unix_command(command, **arguments).get_raw_value()
        data = _bytes(stdin)
        ends = isinstance(command, Attended)
        if ends:
            line = f"sh -c {shlex.quote(attended.script(line))}"
        if sudo:
            if data and password:
                raise OSError("a command cannot have both input and a sudo password")
            line, data = _with_sudo(line, user, password, data, keep_stdin=ends)
        self.commands += 1
        reading = reading_fact.get()
        limit = "fact" if reading else "command"
        beat = attended.BEAT if ends else 0
        return self._open.run(
            line, data, timeout, told=not reading, limit=limit, each=each, beat=beat
        )

    def begin(self, line: str, arguments: dict[str, Any]) -> Running:
        """
        Start a command as root and leave it running, to be talked with.

        Where sudo has a password and asks for none, the command reads it as its first line.
        """
        self.commands += 1
        data = b""
        if arguments.get("_sudo"):
            line, data = _with_sudo(line, None, arguments.get("_sudo_password"), data, True)
        running = self._open.begin(line)
        running.stdin.write(data)
        running.stdin.flush()
        return running

    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        self.facts.clear()
        with get_file_io(filename_or_io) as file:  # in pieces: wheels are larger than memory likes
            return self._put(file, remote_filename, arguments)

    def _put(self, file: Any, remote_filename: str, arguments: dict[str, Any]) -> bool:
        if not arguments.get("_sudo"):
            return self._receive(remote_filename, file)
        staged = f"{self._open.folder()}/{secrets.token_hex(8)}"
        if not self._receive(staged, file):
            return False
        copied, _ = self.run_shell_command(
            StringCommand("cp", shlex.quote(staged), shlex.quote(remote_filename)), **arguments
        )
        self._open.run(f"rm -f {shlex.quote(staged)}")
        return copied

    def _receive(self, path: str, file: Any) -> bool:
        self.commands += 1
        code, output = self._open.run(f"cat > {shlex.quote(path)}", file)
        if code:
            self.failure = (f"upload to {path}", output.output_lines)
        return code == 0

    def get_file(
        self,
        remote_filename: str,
        filename_or_io: Any,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        command = StringCommand("base64", "--", shlex.quote(remote_filename))
        with get_file_io(filename_or_io, "wb") as file:

            def write(line: str) -> None:
                file.write(base64.b64decode(line))

            try:
                code, output = self.execute(command, arguments, each=write)
            except ValueError as error:
                self.failure = (str(command), [f"it is not base64: {error}"])
                return False
        if code:
            self.failure = (str(command), output.output_lines)
        return code == 0

    def lock(self, holder: str, arguments: dict[str, Any]) -> None:
        """Take the host's lock for as long as the connection lives, or say who has it."""

        def as_root(script: str) -> tuple[str, bytes]:
            line = f"sh -c {shlex.quote(script)}"
            if not arguments.get("_sudo"):
                return line, b""
            line, data = _with_sudo(line, None, arguments.get("_sudo_password"), b"", True)
            return line, data * 3  # sudo asks three times; stdin stays open, so it must not wait

        self.facts.clear()
        name = self.host.name
        answer = self._open.lock(holder, as_root)
        if answer is None:
            return
        what = " ".join(answer[1:])
        if answer[0] == "stranger":
            raise HostError(
                "host-locked", f"{what} holds its lock {LOCK}, and is no run of gpurig",
                name, "end that process", host=name,
            )  # fmt: skip
        if answer[0] == "foreign":
            raise HostError(
                "host-unlockable", f"gpurig cannot take its lock: {LOCK} {what}",
                name, "find out who did that, then remove the file", host=name,
            )  # fmt: skip
        if answer[0] != "held":
            raise sudo_error(name, answer) or HostError(
                "host-unlockable",
                f"gpurig cannot take its lock ({' '.join(answer)})",
                name,
                host=name,
            )
        raise HostError(
            "host-locked",
            f"another run of gpurig works there: {what or 'another user'}",
            where=name,
            do="wait until that run has ended",
            host=name,
        )


def sudo_error(host: str, lines: list[str]) -> HostError | None:
    """The sentence for a sudo that refused, if that is what these lines say."""
    text = "\n".join(lines)
    if "incorrect password" in text or "Sorry, try again" in text:
        what, do = "sudo refuses the password", "check _sudo_password"
    elif "a password is required" in text or "authentication is required" in text:
        what, do = "sudo needs a password", "set _sudo_password for this host, or log in as root"
    elif "not in the sudoers file" in text or "may not run sudo" in text:
        what, do = "this user may not use sudo", "log in as root or as a user who may use sudo"
    elif "sudo: not found" in text or "sudo: command not found" in text:
        what, do = "gpurig needs root, and the host has no sudo", "log in as root, or install sudo"
    else:
        return None
    return HostError("sudo-refused", what, where=host, do=do, host=host)


def _with_sudo(
    line: str, user: str | None, password: str | None, data: bytes, keep_stdin: bool = False
) -> tuple[str, bytes]:
    """The line under sudo, and its stdin. The password is sudo's first line of stdin."""
    who = f" -u {shlex.quote(user)}" if user else ""
    if not password:
        return f"sudo -H -n{who} -- sh -c {shlex.quote(UMASK + line)}", data
    # Where sudo asks for none after all, the password line must not reach the command's stdin.
    rest = "" if keep_stdin else " </dev/null"
    inner = shlex.quote(f"{UMASK}{line}{rest}")
    return f"sudo -H -S -k -p ''{who} -- sh -c {inner}", f"{password}\n".encode() + data


def _key(command: StringCommand, arguments: dict[str, Any]) -> str:
    shown = sorted((k, str(v)) for k, v in arguments.items() if v and "password" not in k)
    return f"{command.get_raw_value()} {shown}"


def _bytes(stdin: Any) -> bytes:
    if stdin is None:
        return b""
    if hasattr(stdin, "read"):
        stdin = stdin.read()
    if isinstance(stdin, (list, tuple)):
        stdin = "".join(f"{line}\n" for line in stdin)
    return stdin if isinstance(stdin, bytes) else str(stdin).encode()
