"""Passes of single operations over a booted host, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pyinfra.connectors.sshuserclient.client import get_host_keys

from gpurig.inventory import HostSpec
from gpurig.promise import Finding, Verdict
from gpurig.runner import Link, prepare_engine
from lab.clock import CLOCK
from lab.hosts import Host

Deploy = Callable[[], None]

prepare = cache(prepare_engine)


@dataclass
class Passes:
    """One host and what is promised of it."""

    host: Host
    link: Link

    @classmethod
    def over(cls, host: Host) -> Passes:
        """Connected to this host as any run is, over SSH with its key checked."""
        prepare()
        # pyinfra reads known_hosts once per process; this host was booted since
        get_host_keys.cache.clear()
        data = host.ssh_data()
        link = Link(HostSpec.of(host.name, "ssh", data["ssh_hostname"], data))
        link.open()
        return cls(host, link)

    def plan(self, deploy: Deploy) -> dict[str, Finding]:
        """How each promise stands."""
        with CLOCK.doing("plan pass"):
            return self.link.plan(deploy).findings

    def up(self, deploy: Deploy) -> dict[str, Finding]:
        """
        How each promise stands after the deploy was applied.

        What was applied was announced: by the plan before, as a drift or as what follows one.
        """
        before = self.plan(deploy)
        told = {id for id, found in before.items() if found.verdict is not Verdict.HOLDS}
        with CLOCK.doing("apply pass"):
            applied = self.link.apply(deploy).findings
        changed = {id for id, found in applied.items() if found.verdict is Verdict.DRIFTED}
        assert changed <= told, f"{changed - told} changed without a word in the plan"
        return self.plan(deploy)

    def drifted(self, deploy: Deploy) -> set[str]:
        """The ids of the promises that are broken now."""
        found = self.plan(deploy)
        return {id for id, one in found.items() if one.verdict is Verdict.DRIFTED}

    def shell(self, command: str) -> str:
        """What a command prints on the host; it must succeed."""
        code, output, errors = self.host.run(command)
        assert code == 0, f"{command}: {output}{errors}"
        return str(output)


def all_hold(findings: dict[str, Finding]) -> bool:
    """Whether there is nothing left to do, to wait for or to find out."""
    wrong = {id: one for id, one in findings.items() if one.verdict is not Verdict.HOLDS}
    assert not wrong, wrong
    return True
