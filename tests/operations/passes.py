"""Passes of single operations over a booted host, for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from gpurig.contract.finding import Finding, Verdict
from gpurig.engine.runner import Link, prepare_engine
from gpurig.hosts.inventory import HostSpec
from lab.clock import CLOCK
from lab.hosts import Host

Deploy = Callable[[], None]

prepare = cache(prepare_engine)


class Passes:
    """
    One host and what is promised of it.

    + held: the deploy that the last plan of it found to hold, until anybody reaches for the host
      or its link again
    """

    def __init__(self, host: Host, link: Link) -> None:
        self._host, self._link = host, link
        self.held: Deploy | None = None

    @classmethod
    def over(cls, host: Host) -> Passes:
        """Connected to this host as any run is, over SSH with its key checked."""
        prepare()
        data = host.ssh_data()
        link = Link(HostSpec.of(host.name, "ssh", data["ssh_hostname"], data))
        link.open()
        return cls(host, link)

    @property
    def host(self) -> Host:
        """The host, to be changed."""
        self.held = None
        return self._host

    @property
    def link(self) -> Link:
        """The run's way to the host, to change it or to be changed."""
        self.held = None
        return self._link

    def plan(self, deploy: Deploy) -> dict[str, Finding]:
        """How each promise stands."""
        with CLOCK.doing("plan pass"):
            found = self._link.plan(deploy).findings
        self.held = deploy if _wrong(found) == {} else None
        return found

    def up(self, deploy: Deploy, broken: set[str] | None = None) -> dict[str, Finding]:
        """
        How each promise stands after the deploy was applied.

        What was applied was announced: by the plan before, as a drift or as what follows one.

        + broken: the promises that the plan before calls drifted, these and no other
        """
        before = self.plan(deploy)
        if broken is not None:
            assert _drifted(before) == broken, before
        told = {id for id, found in before.items() if found.verdict is not Verdict.HOLDS}
        with CLOCK.doing("apply pass"):
            changed = _drifted(self.link.apply(deploy).findings)
        assert changed <= told, f"{changed - told} changed without a word in the plan"
        return self.plan(deploy)

    def repaired(self, deploy: Deploy, drift: str, broken: set[str]) -> None:
        """
        The plan names exactly what a drift breaks, one run repairs it, the next finds nothing.

        + drift: a command that breaks these promises on a host that held
        """
        self.shell(drift)
        assert all_hold(self.up(deploy, broken))

    def still_hold(self, deploy: Deploy) -> None:
        """Everything holds: by the last plan while nobody has reached for the host, else by one."""
        assert self.held is deploy or all_hold(self.plan(deploy))

    def drifted(self, deploy: Deploy) -> set[str]:
        """The ids of the promises that are broken now."""
        return _drifted(self.plan(deploy))

    def shell(self, command: str) -> str:
        """What a command prints on the host; it must succeed."""
        return _printed(self.host, command)

    def look(self, command: str) -> str:
        """The same for a command that changes nothing of what is promised."""
        return _printed(self._host, command)


def _printed(host: Host, command: str) -> str:
    code, output, errors = host.run(command)
    assert code == 0, f"{command}: {output}{errors}"
    return str(output)


def _drifted(findings: dict[str, Finding]) -> set[str]:
    return {id for id, one in findings.items() if one.verdict is Verdict.DRIFTED}


def _wrong(findings: dict[str, Finding]) -> dict[str, Finding]:
    return {id: one for id, one in findings.items() if one.verdict is not Verdict.HOLDS}


def all_hold(findings: dict[str, Finding]) -> bool:
    """Whether there is nothing left to do, to wait for or to find out."""
    wrong = _wrong(findings)
    assert not wrong, wrong
    return True
