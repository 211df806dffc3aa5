"""Asking environments what they compute on and what they loaded, each once a run."""

from __future__ import annotations

import json
import shlex
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gpurig.contract.frameworks import keras_backend
from gpurig.proofs.probe import program
from gpurig.proofs.shadows import VARIABLES

Environment = dict[str, Any]  # as in the stack


class Probing:
    """
    The environments of one host.

    + user: who asks, never root; root: the folder of the environments; private: where a folder is
      made for what is asked
    """

    def __init__(self, host: Host, user: str, root: str, private: str) -> None:
        self.host, self.user, self.root = host, user, root
        # A name that nobody can foresee: root writes into it, and users run what it holds.
        self.folder = host.check_output("mktemp -d %s/XXXXXXXX", private)
        self.program = f"{self.folder}/probe.py"
        host.check_output("printf %%s %s > %s", program(), self.program)
        host.check_output("chmod 755 %s && chmod 644 %s", self.folder, self.program)
        self.answers: dict[str, dict[str, Any]] = {}
        self.shells: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Remove the folder."""
        self.host.run("rm -rf %s", self.folder)

    def python(self, environment: Environment) -> str:
        """The interpreter of an environment."""
        return f"{self.root}/{environment['name']}/bin/python"

    def run(self, environment: Environment, *words: str) -> CommandResult:
        """Its interpreter with these arguments, as the user, without anything of surroundings."""
        line = ["env", "-i", f"HOME={self.folder}", "PATH=/usr/bin:/bin"]
        line += [self.python(environment), "-I", *words]
        return self.host.run(f"runuser -u %s -- {shlex.join(line)}", self.user)

    def clean(self, environment: Environment) -> dict[str, Any]:
        """The answer without anything of a user's surroundings."""
        if environment["name"] not in self.answers:
            told = self.run(environment, *self._words(environment))
            self.answers[environment["name"]] = _answer(told.stdout, told.stderr)
        return self.answers[environment["name"]]

    def login(self, environment: Environment, user: str) -> dict[str, Any]:
        """The answer in a login shell of a user."""
        words = [self.python(environment), *self._words(environment)]
        told = self._shell(user, shlex.join(words))
        return _answer(told.stdout, told.stderr)

    def variables(self, user: str) -> dict[str, str]:
        """Those of `VARIABLES` that a login shell of a user has."""
        if user not in self.shells:
            told = self._shell(user, "env")
            lines = [line.partition("=") for line in told.stdout.splitlines()]
            self.shells[user] = {k: v for k, _, v in lines if k in VARIABLES and v}
        return self.shells[user]

    def _words(self, environment: Environment) -> list[str]:
        base = environment["base"] or ""
        backend = keras_backend(base or environment["framework"]) or ""
        return [self.program, environment["framework"], base, backend]

    def _shell(self, user: str, line: str) -> Any:
        """A line in a login shell, as `su` makes it; a system user's shell is none."""
        shell = self.host.check_output("getent passwd %s", user).rsplit(":", 1)[-1]
        own = "" if shell and not shell.endswith(("/nologin", "/false")) else "-s /bin/sh "
        return self.host.run(f"su -l {own}%s -c %s </dev/null", user, line)


def _answer(printed: str, said: str) -> dict[str, Any]:
    """What the probe printed last; without that, the error is what was said last."""
    try:
        answer: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (said.strip().splitlines() or ["no output"])[-1]
        return {"error": last, "modules": [], "libraries": [], "brought": [], "prefix": ""}
    return answer
