"""What one run is asked for, each thing declared once: click fills it, deploys read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

LAYERS = ("driver", "cuda", "docker", "container-toolkit")  # of packages, as `remove` names them


@dataclass(frozen=True)
class Options:
    """
    What one run is asked for.

    The fields of an option of the command line have the option's name. The defaults are what a run
    does without options; they also count under plain pyinfra, which knows none of them.

    + command: the verb, ``up``, ``plan``, ``verify``, ``remove``, ``facts``, ``resolve`` …
    + as_json, quiet, verbose, debug: what is printed
    + yes: whether nothing is asked
    + reboot: ``never``, ``ask``, ``if-needed``, or None for each host's own setting
    + restart_docker: whether Docker may be restarted although containers stop
    + accept_hardware: whether what a host had when it was set up and lacks now is gone for good
    + upgrade: whether newer releases replace what is installed, and locks are resolved again
    + prune: whether gpurig's environments that the settings no longer name are deleted
    + prove: ``auto``, ``always`` or ``never``
    + prefetch: whether facts are read in one exec
    + person: whether there is somebody at a terminal to ask
    + packages: layers whose packages `remove` removes as well
    + share_wheels: whether the control machine downloads wheels for all hosts, as for several
    """

    command: str = "up"
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    yes: bool = False
    reboot: str | None = None
    restart_docker: bool = False
    accept_hardware: bool = False
    upgrade: bool = False
    prune: bool = False
    prove: str = "auto"
    prefetch: bool = True
    person: bool = False
    packages: tuple[str, ...] = ()
    share_wheels: bool = False

    @classmethod
    def of(cls, command: str, given: Mapping[str, Any]) -> Options:
        """From what click gives a verb; whatever else is among that is not an option of a run."""
        names = {field.name for field in fields(cls)}
        return cls(command, **{name: value for name, value in given.items() if name in names})

    @property
    def ask(self) -> bool:
        """Whether a person is asked before anything is changed."""
        return self.command in ("up", "remove") and self.person and not self.yes

    @property
    def silent(self) -> bool:
        """Whether nothing is printed while a run goes on; who is asked sees what is planned."""
        return self.as_json or (self.quiet and not self.ask)


DEFAULTS = Options()
