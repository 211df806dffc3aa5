"""The only file that drives pyinfra's engine: one host, its passes, each in a State of its own."""

from __future__ import annotations

import getpass
import logging
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import gevent
import gevent.local
import pyinfra
import pyinfra.api.host
from pyinfra.api import Config, Inventory, State, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.facts import get_fact as _get_fact
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state

from gpurig.contract.attended import Attended
from gpurig.contract.finding import Finding, judged
from gpurig.contract.limits import MB, Limits
from gpurig.contract.progress import Progress
from gpurig.contract.promise import Record, recording
from gpurig.contract.said import said
from gpurig.engine import causes, prefetch
from gpurig.errors import HostError, InternalError
from gpurig.hosts import attended
from gpurig.hosts.connector import LOCAL, GpurigConnector, reading_fact
from gpurig.hosts.exchange import BROKEN, Room, Running, beating, lines
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.local import LocalTransport
from gpurig.hosts.passwords import Passwords
from gpurig.hosts.ssh import SSHTransport
from gpurig.hosts.sudo import PasswordWanted, sudo_error
from gpurig.hosts.transport import Transport
from gpurig.settings.redaction import Redaction, secrets_of

T = TypeVar("T")

_asked: dict[int, list[prefetch.Asked]] = {}  # by id(State): what its deploy asked for


def _ends_all(error: HostError) -> bool:
    """Whether what made a repair fail makes each after it fail, some after minutes."""
    return error.code != "operation-failed" or "Could not get lock" in error.what


class _PerGreenlet(gevent.local.local):  # type: ignore[misc]  # gevent is untyped
    module = None


def _marked_get_fact(
    state: State, host: Any, cls: Any, args: Any = None, kwargs: Any = None
) -> Any:
    """pyinfra's get_fact, marked: only what is read within it may come from the cache."""
    questions = _asked.get(id(state))
    if questions is not None and not args:
        question = prefetch.asked(cls, kwargs or {})
        if question not in questions:
            questions.append(question)
    token = reading_fact.set(True)
    try:
        return _get_fact(state, host, cls, args=args, kwargs=kwargs)
    finally:
        reading_fact.reset(token)


def prepare_engine() -> None:
    """
    Adapt pyinfra 3.10 to one State and one greenlet per host; call it once per process.

    Its `ctx_state` and `ctx_inventory` are one per process: they become greenlet-local. CLI mode
    is what makes unlike hosts' operations distinct (in API mode they match by position).
    """
    for context in (ctx_state, ctx_inventory):
        object.__setattr__(context.context, "_container", _PerGreenlet())
    pyinfra.api.host.get_fact = _marked_get_fact  # type: ignore[assignment]  # as Host calls it
    pyinfra.is_cli = True
    # What paramiko says of a host goes to the run's log, if there is one, and never to a terminal.
    paramiko = logging.getLogger("paramiko")
    paramiko.propagate = False
    paramiko.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Pass(Generic[T]):
    """
    One pass of a deploy over a host.

    + findings: by the promise's id, in the order in which they were stated
    + answer: what the deploy returned
    """

    findings: dict[str, Finding]
    answer: T


class Link:
    """
    One host over a whole run: connected once, any number of passes.

    + spec: the host, its data and settings; data: the same with what was found out since
    + on_finding, on_done: called as a promise is judged, and when its repair has run
    + on_line: called with each line that commands print on these streams; on_progress: as one says
      how far it is
    + on_waiting: called while the host is still at work for another run, as `Transport` has it
    + passwords: who is asked for the password that sudo wants; nobody without
    """

    def __init__(
        self,
        spec: HostSpec,
        on_finding: Callable[[Finding], None] = lambda finding: None,
        on_done: Callable[[Finding], None] = lambda finding: None,
        on_line: Callable[[str], None] = lambda line: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        batch: bool = True,
        passwords: Passwords | None = None,
        streams: Sequence[str] = ("stdout", "stderr"),
        on_waiting: Callable[[str, bool], None] = lambda holder, alive: None,
    ) -> None:
        self.spec, self.batch, self._passwords = spec, batch, passwords
        self.on_finding, self.on_done = on_finding, on_done
        self.on_line, self.on_progress, self.streams = on_line, on_progress, streams
        self.on_waiting = on_waiting
        self.data = dict(spec.data)
        self._redacted = Redaction(secrets_of([spec.data]))
        self.commands = 0
        self._user, self._admitted = "", False  # who is logged in, and whether as root as well
        self._transport: Transport | None = None
        self._held: list[tuple[Running, gevent.Greenlet]] = []  # what ends with this run

    def open(self) -> None:
        """Connect; HostError when that is refused or impossible."""
        _, host = self._state(executing=False)
        limits = Limits(**self.spec.settings.limits)
        if self.spec.transport == "local":
            self._transport, root = LocalTransport(limits=limits), os.geteuid() == 0
            self._user = getpass.getuser()
        else:
            ssh = SSHTransport(host.connector.ssh(), limits, self.spec.target)
            self._transport, root, self._user = ssh, ssh.user == "root", ssh.user
        self._transport.on_line = lambda line: self.on_line(self._redacted(line))
        self._transport.on_progress = self.on_progress
        self._transport.streams = self.streams
        self._transport.on_waiting = self.on_waiting
        self.data.setdefault("_sudo", not root)

    def plan(self, deploy: Callable[[], T]) -> Pass[T]:
        """How every promise of the deploy stands; nothing on the host is changed."""
        return self._pass(deploy, executing=False)

    def apply(
        self, deploy: Callable[[], T], on_failure: Callable[[HostError], None] | None = None
    ) -> Pass[T]:
        """
        Run the deploy's operations in order, each right after its facts were read again.

        + on_failure: takes a repair that failed, and what does not stand on it goes on; without
          it the first one is raised
        """
        return self._pass(deploy, executing=True, on_failure=on_failure)

    def lock(self, holder: str) -> None:
        """Keep other runs off this host until `close`."""
        _, host = self._state(executing=False)
        host.connector.lock(holder, self.data)

    def run(self, line: str, as_root: bool = True, ends: bool = False) -> tuple[int, CommandOutput]:
        """
        One command outside any deploy: its exit status and output.

        + ends: whether it ends with this run, however that ends
        """
        _, host = self._state(executing=True)
        arguments = self._as_root() if as_root else {}
        self.commands += 1
        command = Attended(line) if ends else StringCommand(line)
        answer: tuple[int, CommandOutput] = host.connector.execute(command, arguments)
        return answer

    def begin(self, line: str) -> Running:
        """One command as root that is talked with while it runs."""
        _, host = self._state(executing=True)
        self.commands += 1
        running: Running = host.connector.begin(line, self.data)
        return running

    def folder(self) -> str:
        """A folder on the host in which every user may make one; it goes when this run ends."""
        running = self.begin(f"sh -c {shlex.quote(attended.folder())}")
        limits = Limits(**self.spec.settings.limits)
        with gevent.Timeout(limits.fact, limits.silent(self.spec.name, "fact", "making a folder")):
            path = next(lines(running.out, Room(MB)), "").strip()
        if not path.startswith("/"):
            raise OSError(f"the host cannot make a private folder: {path}")
        self._held.append((running, gevent.spawn(beating, running, attended.BEAT)))
        return path

    def close(self) -> None:
        """Hang up; the host's lock is given back."""
        for running, beats in self._held:
            beats.kill()
            with suppress(*BROKEN):
                running.close()
        self._held.clear()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def reopen(self) -> None:
        """Connect anew, as after a reboot."""
        self.close()
        self.open()

    def _state(self, executing: bool) -> tuple[State, Any]:
        local = self.spec.transport == "local"
        target = f"@gpurig/{LOCAL if local else self.spec.name}"
        data = {"ssh_hostname": self.spec.address, **self.data} if not local else self.data
        inventory = Inventory(([(target, data)], {}))
        state = State(inventory, Config(), check_for_changes=not executing)
        (host,) = inventory
        if self._transport is not None:
            connector: Any = host.connector  # ours: see the target's name above
            connector.transport = self._transport
            host.connected = True
            state.activate_host(host)
        return state, host

    def admit(self) -> None:
        """
        See to it that commands run as root, for which a person may be asked for a password.

        HostError where they do not.
        """
        if not self.data["_sudo"]:
            return
        _, host = self._state(executing=False)
        try:
            host.connector.prefetch([StringCommand("true")], self._as_root())
        except PasswordWanted as refused:
            self._ask_password(refused)
        self._admitted = True

    def _as_root(self) -> dict[str, Any]:
        """pyinfra's arguments of a command that root runs."""
        password = self.data.get("_sudo_password")
        return {"_sudo": self.data["_sudo"]} | ({"_sudo_password": password} if password else {})

    def _ask_password(self, refused: PasswordWanted) -> None:
        if self._passwords is None or "_sudo_password" in self.data:
            raise refused
        _, host = self._state(executing=False)
        self.data["_sudo_password"] = self._passwords.ask(
            self._user, self.spec.name, refused, host.connector.admits
        )

    def _pass(
        self,
        deploy: Callable[[], T],
        executing: bool,
        on_failure: Callable[[HostError], None] | None = None,
    ) -> Pass[T]:
        """A pass; where it begins with sudo's wish for a password, once more with that."""
        try:
            return self._once(deploy, executing, on_failure)
        except PasswordWanted as refused:
            if self._admitted:
                raise
            self._ask_password(refused)
        return self._once(deploy, executing, on_failure)

    def _once(
        self,
        deploy: Callable[[], T],
        executing: bool,
        on_failure: Callable[[HostError], None] | None,
    ) -> Pass[T]:
        state, host = self._state(executing)
        host.connector.settles = not executing
        record = Record(on_finding=self.on_finding, on_done=self.on_done)

        def failed(error: NestedOperationError) -> None:
            told = self._failed(host, record, error)
            if on_failure is None or not isinstance(told, HostError) or _ends_all(told):
                raise told from error
            host.connector.failure = None
            on_failure(told)

        record.on_failure = failed
        questions: list[prefetch.Asked] = []
        _asked[id(state)] = questions
        with (
            ctx_state.use(state),
            ctx_inventory.use(state.inventory),
            ctx_config.use(state.config.copy()),
            ctx_host.use(host),
            recording(record),
        ):
            state.set_stage(StateStage.Execute if executing else StateStage.Prepare)
            state.is_executing = executing
            try:
                self._prefetch(state, host)
                answer = deploy()
            except (NestedOperationError, PyinfraError) as error:
                raise self._failed(host, record, error) from error
            finally:
                del _asked[id(state)]
                self.commands += host.connector.commands
        if not executing:
            prefetch.remember(self.spec.name, questions)
        return Pass(judged(record.findings), answer)

    def _prefetch(self, state: State, host: Any) -> None:
        questions = prefetch.remembered(self.spec.name) if self.batch else []
        commands = prefetch.commands(questions)
        if self.data["_sudo"] and not (commands or self._admitted):
            commands = [StringCommand("true")]  # before anything else, whether sudo lets us
        defaults, _ = pop_global_arguments(state, host, {})
        arguments = {k: v for k, v in defaults.items() if k in CONNECTOR_ARGUMENT_KEYS}
        host.connector.prefetch(commands, arguments)
        self._admitted = True

    def _failed(self, host: Any, record: Record, error: Exception) -> HostError | InternalError:
        """
        What stopped a pass, as a sentence: the promise at work and the command's own words.

        ConnectionError where that is the connection, of which pyinfra has no word.
        """
        if self._transport is not None and not self._transport.is_there():
            raise ConnectionError("it ended while a command ran") from error
        connector: GpurigConnector = host.connector
        if connector.failure is None:
            return InternalError("engine", str(error) or type(error).__name__, host=host.name)
        command, lines = connector.failure
        began = self._transport is None or self._transport.begun
        if not began and (refused := sudo_error(self.spec.name, lines)) is not None:
            return refused
        drifted = list(record.findings.values())
        doing = drifted[-1].will or drifted[-1].id if drifted else command
        why = "; ".join([*causes.looked(lines, command), said(lines)])
        return HostError(
            "operation-failed",
            f"could not {doing}: {self._redacted(why)}",
            where=self.spec.name,
            do="the log has the whole output",
            host=self.spec.name,
        )
