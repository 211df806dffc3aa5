"""One training over its hosts: surveyed, started, watched until it ends, ended everywhere."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gevent
import gevent.queue
from pyinfra import logger

from gpurig.contract.limits import Limits
from gpurig.contract.values import is_number
from gpurig.engine.runner import Link
from gpurig.errors import GpurigError, HostError, InternalError
from gpurig.hosts.inventory import HostSpec
from gpurig.training import engines, inspection, relay
from gpurig.training.agent_client import Told, Watched
from gpurig.training.engines import Command
from gpurig.training.inspection import Node
from gpurig.training.workload import Workload, source

LINES = 5  # of a host that failed, shown again at the end
WIDTH = 4000  # characters of a line that are kept for that
QUEUED = 32  # words of all hosts that wait to be read

_PREFIX = re.compile(r"^(\[\d+\]<std(?:out|err)>:|\[(?:rank|default)\d+\]: ?)+")  # of the engines
_ERROR = re.compile(r"^[\w.]*(Error|Exception)\b.*: ?\S")


class Listener(Protocol):
    """Who is told how it goes; the screen is one."""

    def stage(self, text: str) -> None: ...
    def line(self, host: str, text: str) -> None: ...


@dataclass(frozen=True)
class Wish:
    """
    What was asked for.

    + engine: of `engine_names.ENGINES`; environment: the name of one of the hosts'
    + processes: on each host, or None for one a GPU; baseline: whether one process trains alone
    + variables: of the environment, beside those that every command gets
    """

    engine: str
    environment: str
    workload: Workload
    processes: int | None = None
    baseline: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """
    What came of it.

    + told, alone: the JSON lines of the training and of one process on the first host
    + last: the last lines of each host that failed
    """

    nodes: list[Node] = field(default_factory=list)
    told: dict[str, Any] | None = None
    alone: dict[str, Any] | None = None
    errors: list[GpurigError] = field(default_factory=list)
    last: dict[str, list[str]] = field(default_factory=dict)
    connected: bool = False
    seconds: float = 0.0

    @property
    def processes(self) -> int:
        return sum(node.processes for node in self.nodes)

    @property
    def speed_up(self) -> float | None:
        """Images a second, against those of one process on the first host."""
        speeds = [(one or {}).get("images_per_second") for one in (self.told, self.alone)]
        together, alone = (speed if is_number(speed) else 0 for speed in speeds)
        return together / alone if together and alone else None


def train(specs: Sequence[HostSpec], wish: Wish, listener: Listener) -> Outcome:
    """Train over these hosts, in their order; every error is in the outcome."""
    outcome = Outcome()
    began = time.monotonic()
    links = [Link(spec) for spec in specs]
    try:
        _Training(links, wish, listener, outcome).run()
    except GpurigError as error:
        outcome.errors.insert(0, error)
    finally:
        for link in links:
            link.close()
        outcome.seconds = time.monotonic() - began
    return outcome


@dataclass
class _Phase:
    """What is running now: by host and number; and what it said."""

    open: set[tuple[str, int]] = field(default_factory=set)
    failed: dict[str, int] = field(default_factory=dict)  # by host, the first one first
    dropped: set[tuple[str, int]] = field(default_factory=set)
    told: dict[str, Any] | None = None


class _Training:
    def __init__(
        self, links: Sequence[Link], wish: Wish, listener: Listener, outcome: Outcome
    ) -> None:
        self.links, self.wish, self.listener, self.outcome = links, wish, listener, outcome
        # Bounded: a program that says more than is read here waits, as for any pipe.
        self.queue: gevent.queue.Queue[Told] = gevent.queue.Queue(QUEUED)
        self.folder = f"/tmp/gpurig-{secrets.token_hex(8)}"
        self.hosts: dict[str, Watched] = {}
        self.last: dict[str, deque[str]] = {link.spec.name: deque(maxlen=200) for link in links}
        self.relayed: dict[tuple[str, int], tuple[Watched, int]] = {}

    @property
    def nodes(self) -> list[Node]:
        return self.outcome.nodes

    def run(self) -> None:
        self.listener.stage("inspecting the hosts")
        self._each(Link.open, self.links)
        self.outcome.connected = True
        environment = self.wish.environment
        self.outcome.nodes = self._each(
            lambda link: inspection.survey(link, environment), self.links
        )
        engines.refuse_unfit(self.wish.engine, environment, self.nodes)
        self.wish.workload.refuse_unfit(self.wish.engine, self.nodes[0])
        for node in self.nodes:
            if self.wish.engine != "multiworker":
                node.processes = self.wish.processes or node.gpus or 1
        self._find_ways()
        self.listener.stage(engines.exposed(self.wish.engine, self.nodes))
        try:
            for node in self.nodes:
                self._guard(node)
            if self.wish.baseline:
                self.listener.stage(f"one process on {self.nodes[0].name}")
                self.outcome.alone = self._phase(self._alone())
            many = (
                f"{self.outcome.processes} processes"
                if self.outcome.processes > 1
                else "one process"
            )
            self.listener.stage(f"{self.wish.engine}: {many}")
            program = self.wish.workload.words(self.wish.engine, self.nodes[0])
            run_id = secrets.token_hex(8)
            self.outcome.told = self._phase(
                engines.commands(self.wish.engine, self.nodes, program, run_id)
            )
        finally:
            self._end()
        self._judge()

    def _each(self, function: Callable[[Link], Any], links: Sequence[Link]) -> list[Any]:
        """Do it on every host at once; the error of the first that has one, when all are done."""
        greenlets = [gevent.spawn(_quietly, function, link) for link in links]
        try:
            gevent.joinall(greenlets)
        finally:
            gevent.killall(greenlets)
        answers = [greenlet.value for greenlet in greenlets]
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors:
            self.outcome.errors += [e for e in errors[1:] if isinstance(e, GpurigError)]
            raise errors[0]
        return answers

    def _find_ways(self) -> None:
        """How the hosts reach one another: all but the first ask for the way to the first."""
        reached = [inspection.reached_at(node.link) for node in self.nodes]
        if len(self.nodes) == 1:
            inspection.find_way(self.nodes[0], "127.0.0.1")
            return
        first, *others = self.nodes
        if reached[0]:
            for node in others:
                inspection.find_way(node, reached[0])
            inspection.find_way(first, others[0].address)
        else:  # this machine is the first one
            inspection.find_way(first, reached[1])
            for node in others:
                inspection.find_way(node, first.address)
        inspection.keep_private(self.nodes)

    def _guard(self, node: Node) -> None:
        host = Watched(node.link, node.python, self.queue)
        self.hosts[node.name] = host
        contents = dict(self.wish.workload.files)
        horovod = self.wish.engine == "horovod"
        if horovod:
            contents |= {
                "rank": engines.rank_script(node, self.wish.variables),
                "relay.py": source("gpurig.training", "relay.py"),
                "bin/ssh": engines.ssh_script(node, self.folder),
            }
        names = engines.hosts_lines(self.nodes) if horovod else ""
        host.prepare(node.user, self.folder, contents, relay.SOCKET if horovod else "", names)

    def _alone(self) -> list[Command | None]:
        node = self.nodes[0]
        return [
            Command(
                [node.python, *self.wish.workload.words(self.wish.engine, node, alone=True)], {}
            )
        ]

    def _phase(self, commands: Sequence[Command | None]) -> dict[str, Any] | None:
        """Start commands and follow them to their end; the JSON line, if one was printed."""
        phase = _Phase()
        for node, command in zip(self.nodes, commands, strict=False):
            if command is not None:
                self._start(phase, node, command)
        failed_at, heard = 0.0, time.monotonic()
        while phase.open:
            if self._spoke(phase):
                heard = time.monotonic()
            self._refuse_silence(heard)
            self._refuse_lost()
            if phase.failed:
                failed_at = failed_at or time.monotonic()
                # When a host is gone, programs of the others fail, too. One heartbeat of each
                # shows first whether it was that, so that the host is named and not a program.
                if all(host.heard > failed_at + 1 for host in self.hosts.values()):
                    break
        if phase.failed:
            self._failed(phase)
        return phase.told

    def _spoke(self, phase: _Phase) -> bool:
        """Take the next thing that a host tells; whether there was one beside heartbeats."""
        try:
            host, told = self.queue.get(timeout=0.5)
        except gevent.queue.Empty:
            return False
        self._take(phase, host, told)
        return told is None or "alive" not in told

    def _refuse_lost(self) -> None:
        for host in self.hosts.values():
            if not host.alive:
                raise host.lost()

    def _refuse_silence(self, heard: float) -> None:
        """Every host is there, but nothing that was started says a word."""
        limits = [Limits(**node.link.spec.settings.limits) for node in self.nodes]
        longest = max(limits, key=lambda one: one.training)
        if time.monotonic() - heard > longest.training:
            raise longest.silent(self.nodes[0].name, "training", "the program was training")

    def _start(self, phase: _Phase, node: Node, command: Command) -> int:
        given = engines.surroundings(self.wish.engine, node, self.folder)
        given |= command.environment
        if not command.shown:
            given |= self.wish.variables
        number = self.hosts[node.name].run(command.words, given)
        logger.debug("%s: %s", node.name, command.words[0])
        phase.open.add((node.name, number))
        return number

    def _take(self, phase: _Phase, host: Watched, told: dict[str, Any] | None) -> None:
        if told is None:
            raise host.lost()
        if "ask" in told:
            self._ask(phase, host, told)
        elif "dropped" in told:
            for key, asked in self.relayed.items():
                if asked == (host, told["dropped"]):
                    phase.dropped.add(key)
                    self.hosts[key[0]].end(key[1])
        elif "exit" in told:
            self._exited(phase, host, told["run"], told["exit"])
        elif "run" in told:
            self._line(phase, host.name, told)

    def _ask(self, phase: _Phase, host: Watched, told: dict[str, Any]) -> None:
        """horovodrun, which runs on the first host, wants a command on another one."""
        asks = self.wish.engine == "horovod" and host.name == self.nodes[0].name
        for node in self.nodes:
            if asks and node.address == told["host"]:
                command = Command(["/bin/sh", "-c", told["command"]], {}, shown=True)
                number = self._start(phase, node, command)
                self.relayed[node.name, number] = host, told["ask"]
                return
        host.answer(told["ask"], 255)

    def _exited(self, phase: _Phase, host: Watched, run: int, code: int) -> None:
        key = host.name, run
        phase.open.discard(key)
        if asked := self.relayed.get(key):
            asked[0].answer(asked[1], code if code >= 0 else 128 - code)
        if code and key not in phase.dropped:
            phase.failed.setdefault(host.name, code)

    def _line(self, phase: _Phase, host: str, told: dict[str, Any]) -> None:
        text = _PREFIX.sub("", told.get("out", told.get("err", "")))
        if "out" in told and text.startswith("{"):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict):
                phase.told = found
                return
        if text.strip():
            self.last[host].append(text[:WIDTH])
            logger.debug("%s: %s", host, text)
            self.listener.line(host, text)

    def _failed(self, phase: _Phase) -> None:
        """Every host that failed by itself, with its own words."""
        if phase.told is not None and phase.told.get("passed") is False:
            self.outcome.told = phase.told
            self._judge()
        if self.outcome.errors:
            raise self.outcome.errors.pop()
        # horovodrun fails after what it started elsewhere: that it did says nothing new.
        elsewhere = phase.failed.keys() & {host for host, _ in self.relayed}
        failed = {h: c for h, c in phase.failed.items() if not elsewhere or h in elsewhere}
        errors = [self._failure(host, code) for host, code in failed.items()]
        self.outcome.errors += errors[1:]
        raise errors[0]

    def _failure(self, host: str, code: int) -> HostError:
        lines = [line for line in self.last[host] if re.search(r"\w", line)]
        errors = [number for number, line in enumerate(lines) if _ERROR.match(line)]
        until = errors[-1] + 1 if errors else len(lines)  # launchers say more after the error
        self.outcome.last[host] = lines[max(0, until - LINES) : until]
        how = f"exit {code}" if code >= 0 else f"signal {-code}"
        said = lines[until - 1].strip() if lines else "it printed nothing"
        what = f"the training failed on this host ({how}): {said}"
        return HostError("training-failed", what, host, host=host)

    def _end(self) -> None:
        """Nothing is left on any host that is still there."""
        for host in self.hosts.values():
            host.close()
        hosts, self.hosts = list(self.hosts.values()), {}
        waiting = [gevent.spawn(host.wait) for host in hosts]
        unread = gevent.spawn(lambda: [None for _ in self.queue])  # or they could not say the last
        gevent.joinall(waiting)
        unread.kill()
        for host, done in zip(hosts, waiting, strict=True):
            if not (done.value or host.gone):
                what = "the host did not confirm in time that the training has ended"
                error = HostError(
                    "training-left",
                    what,
                    host.name,
                    "check the host for processes of the training",
                    host=host.name,
                )
                self.outcome.errors.append(error)

    def _judge(self) -> None:
        first = self.nodes[0].name
        self.outcome.errors += self.wish.workload.judged(
            self.outcome.told, self.outcome.processes, first
        )


def _quietly(function: Callable[[Link], Any], link: Link) -> Any:
    try:
        return function(link)
    except GpurigError as error:
        error.host = link.spec.name
        return error
    except OSError as error:
        what = f"the connection broke ({error})"
        return HostError("connection-lost", what, link.spec.name, host=link.spec.name)
    except Exception as error:  # a bug on one host is one sentence as well
        logger.exception("%s: internal error", link.spec.name)
        what = f"internal error: {type(error).__name__}: {error}"
        do = "please report it with the log"
        return InternalError("internal", what, link.spec.name, do, host=link.spec.name)
