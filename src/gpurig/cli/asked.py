"""What the command line asks of hosts, checked before any of them is contacted."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpurig import store
from gpurig.cli import own_tables
from gpurig.hosts import target
from gpurig.images import recipe
from gpurig.report.shown import say
from gpurig.settings import programs
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.defaults import Defaults
from gpurig.settings.options import Options
from gpurig.stack.frameworks import refuse_unknown_releases
from gpurig.wheels import locks

if TYPE_CHECKING:
    from gpurig.hosts.inventory import HostSpec


@dataclass(frozen=True)
class Asked:
    """
    What the command line asked for.

    + hosts: which; wishes: data by ``--set`` and, where no host is asked, defaults; the hosts' data
      have them as well
    """

    hosts: list[HostSpec]
    wishes: dict[str, Any]
    options: Options

    @classmethod
    def of(cls, command: str, given: dict[str, Any]) -> Asked:
        """Check every word before any host is contacted; InputError says what is wrong."""
        wishes = parse_set(given["wishes"])
        unread = given.get("saved") or given.get("os")
        file = Path(given["target"]) if target.is_file(given["target"]) else None
        if file:
            locks.look_beside(file)
        defaults = Defaults.of(file)
        for read in () if given.get("quiet") else defaults.files:
            say(f"defaults: {read}", err=True)
        if unread:
            wishes = defaults.below(wishes)
            own_tables.use([validate(wishes, "--set")])
            return cls([], wishes, Options.of(command, given))
        # Here, since a described machine needs nothing that reaches hosts.
        from gpurig.engine import trust
        from gpurig.hosts import inventory

        hosts = inventory.load(given["target"], given["limit"], wishes, defaults)
        own_tables.use([spec.settings for spec in hosts])
        for spec in hosts:
            where = f"{given['target']}, {spec.name}" if given["target"] else spec.name
            store.refuse_foreign(trust.ssh_config(spec))
            refuse_unknown_releases(spec.settings, where)
            recipe.refuse_unreadable(spec.settings, where)
            programs.refuse_unreadable(spec.settings, where)
        return cls(hosts, wishes, Options.of(command, given))

    def ready(self) -> Asked:
        """With whether a person can be asked what to do."""
        person = sys.stdin.isatty() and sys.stdout.isatty() and not self.options.as_json
        return replace(self, options=replace(self.options, person=person))
