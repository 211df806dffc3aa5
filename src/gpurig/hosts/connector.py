"""gpurig's connector for pyinfra: private uploads, hidden passwords, facts that are read once."""

from __future__ import annotations

import base64
import secrets
import shlex
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
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
from gpurig.contract.progress import Progress, Told
from gpurig.contract.staged import STAGED
from gpurig.errors import GpurigError, HostError
from gpurig.hosts import attended, host_lock
from gpurig.hosts.exchange import BROKEN, Running
from gpurig.hosts.frame import in_one_word
from gpurig.hosts.host_lock import LOCK
from gpurig.hosts.local import LocalTransport
from gpurig.hosts.ssh import SSHTransport
from gpurig.hosts.sudo import PasswordWanted, not_started, sudo_error, with_sudo
from gpurig.hosts.transport import Transport

LOCAL = "@local"
CHANGES = "gpurig_changes"  # the attribute of what is logged of a command that reads no fact

# True while a fact is being read: only then may an answer come from the cache.
reading_fact: ContextVar[bool] = ContextVar("gpurig-reading-fact", default=False)

# Linux allows 131,072 bytes in one argument (MAX_ARG_STRLEN); facts, packed, are a fifth of these.
_BATCH_BYTES = 250_000
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
    settles = False  # whether facts are read only when nobody's changes go on there

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
        about = {} if reading_fact.get() else {CHANGES: True}
        logger.debug("%s: %s", self.host.name, command, extra=about)
        bounded = StringCommand(self._in_time(command)) if reading_fact.get() else command
        code, output = self.execute(bounded, arguments, held=not reading_fact.get())
        ok = code in exit_codes
        if reading_fact.get() and code == _LATE:
            ok, output = True, self._late()
        if not ok:
            self.failure = (str(command), output.output_lines)
            logger.debug("%s: exit %s: %s", self.host.name, code, output.output, extra=about)
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
            code, output = self.execute(StringCommand(in_one_word(script)), arguments)
        finally:
            reading_fact.reset(token)
        if code:
            self.failure = ("reading facts", output.output_lines)
            raise self._refused(code, output, arguments) or HostError(
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
        held: bool = False,
    ) -> tuple[int, CommandOutput]:
        """
        Run a command under pyinfra's connector arguments: its exit status and output.

        + each: is given the lines of standard output instead
        + held: whether the next run waits for its end, if this one has the host's lock
        """
        if self.settles and reading_fact.get():
            return self._settled(command, arguments)
        arguments = dict(arguments)
        timeout = arguments.pop("_timeout", None)
        stdin = arguments.pop("_stdin", None)
        arguments.pop("_get_pty", None)
        sudo = arguments.pop("_sudo", False)
        user = arguments.pop("_sudo_user", None)
        password = arguments.pop("_sudo_password", None)
        for name in ("_use_sudo_login", "_preserve_sudo_env", "_success_exit_codes"):
            arguments.pop(name, None)
        line = command.get_raw_value()
        if any(value for name, value in arguments.items() if name != "_shell_executable"):
            line = make_unix_command(command, **arguments).get_raw_value()
        data = _bytes(stdin)
        ends = isinstance(command, Attended)
        if isinstance(command, Told):
            each = self._progressed
        holder, number = self._open.held
        if held and holder:
            line = f"sh -c {shlex.quote(host_lock.changing(line, holder, number, ends))}"
        elif ends:
            line = f"sh -c {shlex.quote(attended.script(line))}"
        if sudo:
            if data and password:
                raise OSError("a command cannot have both input and a sudo password")
            line, data = with_sudo(line, user, password, data, keep_stdin=ends)
        self.commands += 1
        reading = reading_fact.get()
        limit = "fact" if reading else "command"
        beat = attended.BEAT if ends else 0
        return self._open.run(
            line, data, timeout, told=not reading, limit=limit, each=each, beat=beat,
            marks=2 if sudo else 1,
        )  # fmt: skip

    def _settled(
        self, command: StringCommand, arguments: dict[str, Any]
    ) -> tuple[int, CommandOutput]:
        """The same, not before all changes that go on there have ended; one command without any."""
        self.settles = False
        first = StringCommand(f"{host_lock.asked()}{command.get_raw_value()}")
        code, output = self.execute(first, arguments)
        if output.stdout_lines != [host_lock.BUSY]:
            return code, output
        last: list[str] = []

        def told(line: str) -> None:
            if line.startswith("waiting "):
                self._open.waits(line)
            else:
                last.append(line)

        script = StringCommand(f"sh -c {shlex.quote(host_lock.settled())}")
        self.execute(script, arguments, each=told)
        if last != ["settled"]:
            self._locked(last or [""])
        return self.execute(command, arguments)

    def answers(self) -> bool:
        """Whether the host still answers, for what waits for something else; one command."""
        with suppress(HostError, *BROKEN):
            self._open.run(":", told=False, limit="fact")
            return True
        return False

    def admits(self, password: str) -> bool:
        """Whether sudo takes a password; HostError where it would start nothing with any."""
        arguments = {"_sudo": True, "_sudo_password": password}
        token = reading_fact.set(True)
        try:
            code, output = self.execute(StringCommand("true"), arguments)
        finally:
            reading_fact.reset(token)
        refused = self._refused(code, output, arguments) if code else None
        if refused and not isinstance(refused, PasswordWanted):
            raise refused
        return code == 0

    def _refused(
        self, code: int, output: CommandOutput, arguments: dict[str, Any]
    ) -> HostError | None:
        """What it comes to that nothing was started, where that is sudo's doing."""
        if not arguments.get("_sudo"):
            return None
        given = bool(arguments.get("_sudo_password"))
        return not_started(self.host.name, code, output.output_lines, given)

    def _progressed(self, line: str) -> None:
        if progress := Progress.read(line):
            self._open.on_progress(progress)

    def begin(self, line: str, arguments: dict[str, Any]) -> Running:
        """
        Start a command as root and leave it running, to be talked with.

        Where sudo has a password and asks for none, the command reads it as its first line.
        """
        self.commands += 1
        data, sudo = b"", arguments.get("_sudo")
        if sudo:
            line, data = with_sudo(line, None, arguments.get("_sudo_password"), data, True)
        running = self._open.begin(line, marks=2 if sudo else 1)
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
            if self._put(file, remote_filename, arguments):
                return True
        if remote_filename.endswith(STAGED):  # the part of it for which there was room
            failure = self.failure
            gone = StringCommand("rm", "-f", shlex.quote(remote_filename))
            self.run_shell_command(gone, **arguments)
            self.failure = failure
        return False

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

        def as_root(script: str) -> tuple[str, bytes, int]:
            line = f"sh -c {shlex.quote(script)}"
            if not arguments.get("_sudo"):
                return line, b"", 1
            line, data = with_sudo(line, None, arguments.get("_sudo_password"), b"", True)
            return line, data * 3, 2  # sudo asks three times; stdin stays open, so it must not wait

        self.facts.clear()
        if (answer := self._open.lock(holder, as_root)) is not None:
            self._locked(answer)

    def _locked(self, answer: list[str]) -> None:
        """Raise the sentence for what was answered instead of the lock."""
        name, what = self.host.name, " ".join(answer[1:])
        if answer[0] == "busy":
            raise HostError(
                "host-locked",
                f"what a run that has ended left at work there goes on: {what}",
                where=name,
                do="wait until it has ended, or end that process",
                host=name,
            )
        if answer[0] == "stranger":
            raise HostError(
                "host-locked", f"{what} holds its lock {LOCK}, and is no run of gpurig",
                name, "end that process", host=name,
            )  # fmt: skip
        if answer[0] == "foreign":
            raise HostError(
                "host-unlockable", f"gpurig cannot take its lock: {what}",
                name, "find out who did that, then remove the file", host=name,
            )  # fmt: skip
        if answer[0] != "held":
            raise sudo_error(name, answer) or HostError(
                "host-unlockable",
                f"gpurig cannot take its lock ({' '.join(answer)})",
                name,
                host=name,
            )
        raise host_lock.at_work(name, what)


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
