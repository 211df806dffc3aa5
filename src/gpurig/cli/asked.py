"""What the command line asks of hosts, checked before any of them is contacted."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpurig import store
from gpurig.engine import trust
from gpurig.hosts import inventory
from gpurig.hosts.passwords import with_sudo_password
from gpurig.images import recipe
from gpurig.settings import programs
from gpurig.settings.checks import parse_set
from gpurig.settings.options import Options
from gpurig.stack.frameworks import refuse_unknown_releases
from gpurig.wheels import locks


@dataclass(frozen=True)
class Asked:
    """
    What the command line asked for.

    + hosts: which; wishes: data by ``--set``, which the hosts' data have as well
    """

    hosts: list[inventory.HostSpec]
    wishes: dict[str, Any]
    options: Options

    @classmethod
    def of(cls, command: str, given: dict[str, Any]) -> Asked:
        """Check every word before any host is contacted; InputError says what is wrong."""
        wishes = parse_set(given["wishes"])
        unread = given.get("saved") or given.get("os")
        if inventory.is_file(given["target"]):
            locks.look_beside(Path(given["target"]))
        hosts = [] if unread else inventory.load(given["target"], given["limit"], wishes)
        for spec in hosts:
            where = f"{given['target']}, {spec.name}" if given["target"] else spec.name
            store.refuse_foreign(trust.ssh_config(spec))
            refuse_unknown_releases(spec.settings, where)
            recipe.refuse_unreadable(spec.settings, where)
            programs.refuse_unreadable(spec.settings, where)
        return cls(hosts, wishes, Options.of(command, given))

    def ready(self) -> Asked:
        """With whether a person can be asked, and with the passwords that they give for sudo."""
        person = sys.stdin.isatty() and sys.stdout.isatty() and not self.options.as_json
        hosts = [with_sudo_password(spec, person) for spec in self.hosts]
        return replace(self, hosts=hosts, options=replace(self.options, person=person))
