"""A person at a control machine: an inventory file, a bare HOME, and the gpurig command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.clock import CLOCK
from lab.hosts import Host
from lab.lab import Lab

SECONDS = 3600  # a bound on a hung run, far above what any takes


@dataclass
class Answer:
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.out)
        return told

    @property
    def problems(self) -> str:
        """What went wrong, for the message of an assertion."""
        try:
            told = self.json
        except ValueError:
            return self.out + self.err
        found = [f"{error['host']}: {error['what']}" for error in told["errors"]]
        for name, host in told["hosts"].items():
            for proof in host["proofs"]:
                if proof["verdict"] in ("failed", "unknown"):
                    found.append(f"{name}: {proof['id']}: {proof['reason']}")
            for finding in host["final"] or host["plan"]:
                if finding["verdict"] in ("drifted", "unknown", "due"):
                    found.append(f"{name}: {finding['id']}: {finding['verdict']}: {finding}")
        return f"exit {self.code}\n" + "\n".join(found) + self.err

    def host(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json["hosts"][name]
        return found

    def verdicts(self, name: str, when: str = "plan") -> dict[str, str]:
        """Each promise's verdict, by its id."""
        return {finding["id"]: finding["verdict"] for finding in self.host(name)[when]}

    def drifted(self, name: str) -> set[str]:
        """The promises that the plan says are broken."""
        return {promise for promise, said in self.verdicts(name).items() if said == "drifted"}

    def follows(self, name: str) -> set[str]:
        return {promise for promise, said in self.verdicts(name).items() if said == "follows"}

    def changed(self, name: str) -> set[str]:
        return set(self.host(name)["changed"])

    def proofs(self, name: str) -> dict[str, str]:
        """Each proof's verdict, by its id."""
        return {proof["id"]: proof["verdict"] for proof in self.host(name)["proofs"]}


@dataclass
class Person:
    """
    Somebody with a folder of their own; every command runs there, without a terminal.

    + home: also HOME, so that nothing of the real user's is read or written
    """

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def gpurig(self, *words: str | Path, stdin: str = "") -> Answer:
        """Run gpurig with these words."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TERM")}
        with CLOCK.doing(f"gpurig {words[0] if words else ''}"):
            done = subprocess.run(
                [sys.executable, "-m", "gpurig.cli.main", *map(str, words)],
                cwd=self.home,
                env=kept | {"HOME": str(self.home)} | self.environment,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        return Answer(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *words: str | Path, keys: Sequence[tuple[str, str, float]]) -> Answer:
        """
        Run gpurig on a terminal of its own; what both streams print is the answer's `out`.

        + keys: what is typed, each after these words have been printed, and after how many seconds
        """
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")} | {"TERM": "dumb"}
        process, terminal = pty.fork()
        if not process:
            os.chdir(self.home)
            command = [sys.executable, "-m", "gpurig.cli.main", *map(str, words)]
            os.execve(command[0], command, kept | {"HOME": str(self.home)} | self.environment)
        said, seen, left = b"", 0, list(keys)
        with CLOCK.doing(f"gpurig {words[0]} on a terminal"), suppress(OSError):
            while piece := os.read(terminal, 4096):  # EIO where the program has ended
                said += piece
                if left and (at := said.find(left[0][0].encode(), seen)) >= 0:
                    seen = at + 1
                    time.sleep(left[0][2])
                    os.write(terminal, f"{left.pop(0)[1]}\n".encode())
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return Answer(code, said.decode().replace("\r\n", "\n"), "")

    def inventory(self, hosts: dict[str, dict[str, Any]], **group: Any) -> Path:
        """An inventory of these hosts and their data, with data common to all."""
        file = self.home / f"{'-'.join(hosts) or 'none'}.py"
        file.write_text(f"lab = ({list(hosts.items())!r}, {group!r})\n")
        return file


def settings(lab: Lab) -> dict[str, Any]:
    """What a lab host needs to know of the lab: its mirrors, as an administrator would say it."""
    return {
        "rig_pypi_index": lab.index_url,
        "rig_data_mirror": lab.mnist_url,
        "rig_repositories": {
            "nvidia-container-toolkit": {
                "url": lab.toolkit.url,
                "fingerprint": lab.toolkit.fingerprint,
            }
        },
    }


def state(host: Host) -> str:
    """Every file under /etc with its bytes, mode and owner, and every package with its state."""
    return host.ssh(
        "cd /etc && find . -xdev ! -type d ! -name mtab -printf '%p %m %u %g %l\\n' | sort;"
        " find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum; dpkg-query -W"
        " -f '${Package} ${Version} ${db:Status-Abbrev}\\n'"
    )[1]
