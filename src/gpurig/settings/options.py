"""What one run is asked for, each thing declared once: click fills it, deploys read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Options:
    """
    What one run is asked for.

    The fields of an option of the command line have the option's name. The defaults are what a run
    does without options; they also count under plain pyinfra, which knows none of them.

    + command: the verb, ``up``, ``plan``, ``verify``, ``facts``, ``resolve``, ``trust``, ``train``
    + as_json, debug: what is printed
    + yes: whether nothing is asked
    + reboot: ``never``, ``ask``, ``if-needed``, or None for each host's own setting
    + restart_docker: whether Docker may be restarted although containers stop
    + upgrade: whether newer releases replace what is installed, and locks are resolved again
    + prune: whether gpurig's environments that the settings no longer name are deleted
    + prove: ``auto``, ``always`` or ``never``
    + prefetch: whether facts are read in one exec
    + person: whether there is somebody at a terminal to ask
    + share_wheels: whether the control machine downloads wheels for all hosts, as for several
    """

    command: str = "up"
    as_json: bool = False
    debug: bool = False
    yes: bool = False
    reboot: str | None = None
    restart_docker: bool = False
    upgrade: bool = False
    prune: bool = False
    prove: str = "auto"
    prefetch: bool = True
    person: bool = False
    share_wheels: bool = False

    @classmethod
    def of(cls, command: str, given: Mapping[str, Any]) -> Options:
        """From what click gives a verb; whatever else is among that is not an option of a run."""
        names = {field.name for field in fields(cls)}
        return cls(command, **{name: value for name, value in given.items() if name in names})

    @property
    def ask(self) -> bool:
        """Whether a person is asked before anything is changed."""
        return self.command == "up" and self.person and not self.yes


DEFAULTS = Options()
