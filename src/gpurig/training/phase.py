"""Commands that run on hosts at the same time: started, heard, and followed to their end."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from pyinfra import logger

from gpurig.contract.limits import Limits
from gpurig.errors import HostError
from gpurig.training import engines
from gpurig.training.agent_client import Watched
from gpurig.training.engines import Command
from gpurig.training.guards import WORK, Guards
from gpurig.training.wish import Listener, Wish
from gpurig.training.workload import result_of

LINES = 5  # of a host that failed, shown again at the end
WIDTH = 4000  # characters of a line that are kept for that
KEPT = 200  # lines of a host among which those are looked for
LAST = 25  # seconds for what was asked to end; a guard takes 20 at most

_RANK0 = re.compile(r"\[0\]<stdout>:")  # what horovodrun writes before each line
_PREFIX = re.compile(r"^(\[\d+\]<std(?:out|err)>:|\[(?:rank|default)\d+\]: ?)+")  # of the engines
_ERROR = re.compile(r"^[\w.]*(Error|Exception)\b.*: ?\S")


class Phase:
    """
    One process alone, or all together.

    + folder: of the private one, in which they run
    """

    def __init__(self, guards: Guards, wish: Wish, listener: Listener, folder: str = WORK) -> None:
        self.guards, self.wish, self.listener, self.folder = guards, wish, listener, folder
        self.open: set[tuple[str, int]] = set()
        self.failed: dict[str, int] = {}  # by host, the first one first
        self.told: dict[str, Any] | None = None
        self._dropped: set[tuple[str, int]] = set()
        self._relayed: dict[tuple[str, int], tuple[Watched, int]] = {}
        self._ending = False
        self._said: dict[str, deque[str]] = {}

    def run(self, commands: Sequence[Command | None]) -> None:
        """Start a command on each host, and follow them until all or one of them has ended."""
        for node, command in zip(self.guards.nodes, commands, strict=False):
            if command is not None:
                self._start(node.name, command)
        failed_at, heard = 0.0, time.monotonic()
        while self.open:
            if self._spoke():
                heard = time.monotonic()
            self.refuse_silence(heard)
            if self.failed:
                failed_at = failed_at or time.monotonic()
                # When a host is gone, programs of the others fail, too. One heartbeat of each
                # shows first whether it was that, so that the host is named and not a program.
                if all(host.heard > failed_at + 1 for host in self.guards.hosts.values()):
                    break

    def stop(self) -> None:
        """End what still runs, on the hosts that are there; the guards stay."""
        self._ending = True
        there = {host.name: host for host in self.guards.there()}
        self.open = {one for one in self.open if one[0] in there}
        for name, number in self.open:
            there[name].end(number)
        until = time.monotonic() + LAST
        while self.open and time.monotonic() < until:
            self._spoke()

    def failures(self) -> list[tuple[HostError, list[str]]]:
        """Every host that failed by itself: its sentence and its last lines."""
        # horovodrun fails after what it started elsewhere: that it did says nothing new.
        elsewhere = self.failed.keys() & {host for host, _ in self._relayed}
        return [
            self._failure(host, code)
            for host, code in self.failed.items()
            if not elsewhere or host in elsewhere
        ]

    def refuse_silence(self, heard: float) -> None:
        """Every host is there, but nothing that was started says a word."""
        nodes = self.guards.nodes
        limits = [Limits(**node.link.spec.settings.limits) for node in nodes]
        longest = max(limits, key=lambda one: one.training)
        if time.monotonic() - heard > longest.training:
            raise longest.silent(nodes[0].name, "training", "the program was training")

    def _start(self, name: str, command: Command) -> int:
        (node,) = (node for node in self.guards.nodes if node.name == name)
        given = engines.surroundings(self.wish.engine, node, self.guards.folder)
        given |= command.environment
        if not command.shown:
            given |= self.wish.variables
        number = self.guards.hosts[name].run(command.words, given, self.folder)
        logger.debug("%s: %s", name, command.words[0])
        self.open.add((name, number))
        return number

    def _spoke(self) -> bool:
        """Take the next thing that a host tells; whether there was one beside heartbeats."""
        heard = self.guards.next()
        if heard is None:
            return False
        host, told = heard
        if "ask" in told:
            self._ask(host, told)
        elif "dropped" in told:
            for key, asked in self._relayed.items():
                if asked == (host, told["dropped"]):
                    self._dropped.add(key)
                    self.guards.hosts[key[0]].end(key[1])
        elif "exit" in told:
            self._exited(host, told["run"], told["exit"])
        elif "run" in told:
            self._line(host.name, told)
        return "alive" not in told

    def _ask(self, host: Watched, told: dict[str, Any]) -> None:
        """horovodrun, which runs on the first host, wants a command on another one."""
        asks = self.wish.engine == "horovod" and host.name == self.guards.nodes[0].name
        for node in self.guards.nodes:
            if asks and node.address == told["host"]:
                command = Command(["/bin/sh", "-c", told["command"]], {}, shown=True)
                number = self._start(node.name, command)
                self._relayed[node.name, number] = host, told["ask"]
                return
        host.answer(told["ask"], 255)

    def _exited(self, host: Watched, run: int, code: int) -> None:
        key = host.name, run
        self.open.discard(key)
        if asked := self._relayed.get(key):
            asked[0].answer(asked[1], code if code >= 0 else 128 - code)
        if code and key not in self._dropped:
            self.failed.setdefault(host.name, code)

    def _line(self, host: str, told: dict[str, Any]) -> None:
        """Show it as it is; what rank 0 tells of the result is the result besides."""
        text = told.get("out", told.get("err", ""))
        if "out" in told and (found := result_of(self._of_rank0(text))) is not None:
            self.told = found
            if self.wish.workload.program is None:  # MNIST's is long, and told in words
                return
        if text.strip():
            self._said.setdefault(host, deque(maxlen=KEPT)).append(text[:WIDTH])
            self.listener.line(host, text, self._ending)

    def _of_rank0(self, text: str) -> str:
        """A line of standard output without its mark; empty where it is not rank 0's."""
        if self.wish.engine != "horovod":
            return text  # `engines.rank_script` leaves nobody else's there
        mark = _RANK0.match(text)
        return text[mark.end() :] if mark else ""

    def _failure(self, host: str, code: int) -> tuple[HostError, list[str]]:
        lines = [line for line in self._said.get(host, ()) if re.search(r"\w", line)]
        plain = [_PREFIX.sub("", line) for line in lines]
        errors = [number for number, line in enumerate(plain) if _ERROR.match(line)]
        until = errors[-1] + 1 if errors else len(lines)  # launchers say more after the error
        how = f"exit {code}" if code >= 0 else f"signal {-code}"
        said = plain[until - 1].strip() if lines else "it printed nothing"
        what = f"the training failed on this host ({how}): {said}"
        last = lines[max(0, until - LINES) : until]
        return HostError("training-failed", what, host, host=host), last
