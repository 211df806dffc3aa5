"""One training over its hosts: surveyed, started, watched until it ends, ended everywhere."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
from pyinfra import logger

from gpurig.engine.runner import Link
from gpurig.errors import GpurigError, HostError, InternalError
from gpurig.hosts.exchange import BROKEN
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.passwords import Passwords
from gpurig.training import engines, inspection
from gpurig.training.guards import Guards
from gpurig.training.home import Home
from gpurig.training.inspection import Node
from gpurig.training.phase import Phase
from gpurig.training.wish import ALONE, Listener, Outcome, Wish


def train(specs: Sequence[HostSpec], wish: Wish, listener: Listener) -> Outcome:
    """Train over these hosts, in their order; every error is in the outcome."""
    outcome = Outcome()
    began = time.monotonic()
    passwords = Passwords()
    links = [Link(spec, passwords=passwords) for spec in specs]
    try:
        _Training(links, wish, listener, outcome).run()
    except GpurigError as error:
        outcome.errors.insert(0, error)
    except BROKEN as error:
        names = ", ".join(spec.name for spec in specs)
        what = f"a connection broke ({str(error) or type(error).__name__})"
        outcome.errors.insert(0, HostError("connection-lost", what, names))
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        for link in links:
            link.close()
        outcome.seconds = time.monotonic() - began
    return outcome


class _Training:
    def __init__(
        self, links: Sequence[Link], wish: Wish, listener: Listener, outcome: Outcome
    ) -> None:
        self.links, self.wish, self.listener, self.outcome = links, wish, listener, outcome
        self.phase: Phase | None = None

    @property
    def nodes(self) -> list[Node]:
        return self.outcome.nodes

    def run(self) -> None:
        """From the first connection until nothing is left."""
        self._inspect()
        if self.wish.workload.told:
            self.listener.stage(self.wish.workload.told)
        self.listener.stage(engines.exposed(self.wish.engine, self.nodes))
        guards = Guards(self.nodes)
        try:
            guards.prepare(self.wish)
            if self.wish.baseline:
                self._compare(guards)
            self._train(guards)
        finally:
            try:
                self._bring_home(guards)
            finally:
                self.outcome.errors += guards.end()
        self._judge()

    def _inspect(self) -> None:
        """Every host has what the training needs, and this training alone."""
        self.listener.stage("inspecting the hosts")
        self._each(_entered, self.links)
        self.outcome.connected = True
        environment = self.wish.environment
        self.outcome.nodes = self._each(
            lambda link: inspection.survey(link, environment), self.links
        )
        engines.refuse_unfit(self.wish.engine, environment, self.nodes)
        for node in self.nodes:
            if self.wish.engine != "multiworker":
                asked = self.wish.slots.get(node.name) or self.wish.processes
                node.processes = asked or node.gpus or 1
        self._find_ways()

    def _compare(self, guards: Guards) -> None:
        """One process trains alone; that it cannot costs the comparison, and not the training."""
        first = self.nodes[0]
        self.listener.stage(f"one process on {first.name}, to compare")
        program = self.wish.workload.words(self.wish.engine, first)
        alone = engines.alone(self.wish.engine, first, program, guards.folder)
        phase = self.phase = Phase(guards, self.wish, self.listener, ALONE)
        phase.run([alone])
        self.outcome.alone = phase.told
        if failures := phase.failures():
            self.outcome.alone = None
            self.outcome.compared = failures[0][0].what.partition(": ")[2]
            self.listener.stage(
                f"one process alone failed ({self.outcome.compared}):"
                " there is nothing to compare with, and the training goes on"
            )

    def _train(self, guards: Guards) -> None:
        many = self.outcome.processes
        processes = f"{many} processes" if many > 1 else "one process"
        self.listener.stage(f"{self.wish.engine}: {processes}")
        program = self.wish.workload.words(self.wish.engine, self.nodes[0])
        run_id = secrets.token_hex(8)
        commands = engines.commands(self.wish.engine, self.nodes, program, run_id, guards.folder)
        phase = self.phase = Phase(guards, self.wish, self.listener)
        phase.run(commands)
        self.outcome.told = phase.told
        if phase.failed:
            self._failed(phase)

    def _failed(self, phase: Phase) -> None:
        """Every host that failed by itself, with its own words."""
        if phase.told is not None and phase.told.get("passed") is False:
            self._judge()
        if self.outcome.errors:
            raise self.outcome.errors.pop()
        failures = phase.failures()
        self.outcome.last |= {str(error.host): last for error, last in failures}
        self.outcome.errors += [error for error, _ in failures[1:]]
        raise failures[0][0]

    def _bring_home(self, guards: Guards) -> None:
        """Whatever ended the training: nothing runs any more, and results are fetched."""
        if not (guards.ready and self.phase):
            return
        try:
            with suppress(KeyboardInterrupt):  # pressed twice: results are not lost by that
                self.phase.stop()
            Home(guards, self.outcome, Path(self.wish.out)).bring(self.listener.stage)
        except GpurigError as error:  # a host is gone, and is named once
            known = {(one.code, one.host) for one in self.outcome.errors}
            logger.debug("%s", error)
            if (error.code, error.host) not in known:
                self.outcome.errors.append(error)

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
        if len(self.nodes) == 1:
            inspection.find_way(self.nodes[0], "127.0.0.1")
            return
        reached = [inspection.reached_at(node) for node in self.nodes]
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

    def _judge(self) -> None:
        first = self.nodes[0].name
        self.outcome.errors += self.wish.workload.judged(
            self.outcome.told, self.outcome.processes, first
        )


def _entered(link: Link) -> None:
    link.open()
    link.admit()
    since = datetime.now().astimezone().isoformat(timespec="minutes")
    link.lock(f"{getpass.getuser()} on {socket.gethostname()}, training since {since}")


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
