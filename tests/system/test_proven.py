"""A host is right only when it is proven: failed, interrupted and lost proofs, on a Debian 13."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.hosts import Host
from lab.lab import Lab
from system.person import Answer, Person, settings

pytestmark = pytest.mark.lab

SAID = "/srv/said"  # what the user's program is to do
OWN = "workloads.own.xgboost:train.py"
RECORD = "/var/lib/gpurig/proven.json"
PROGRAM = f"""
import json, subprocess, sys, time
said = open("{SAID}").read().strip()
if said == "slow":
    subprocess.Popen(["timeout", "700", "sleep", "654"], start_new_session=True)
    time.sleep(600)
print(json.dumps({{"schema": 1, "workload": "own", "passed": said == "pass"}}))
sys.exit(said != "pass")
"""


@pytest.fixture(scope="module")
def host(boot: Callable[..., Host]) -> Host:
    """A bare host."""
    return boot("trixie", "proven")


@pytest.fixture(scope="module")
def inventory(host: Host, person: Person, lab: Lab) -> Path:
    """The smallest environment, and a program of the user's in it."""
    (person.home / "train.py").write_text(PROGRAM)
    data = host.ssh_data() | {
        "rig_components": ["environments"],
        "rig_frameworks": ["xgboost"],
        "rig_workloads": ["trees", "xgboost:train.py"],
    }
    return person.inventory({host.name: data}, **settings(lab))


@pytest.fixture
def run(person: Person, inventory: Path) -> Callable[..., Answer]:
    """A verb of gpurig on the host."""
    return lambda verb, *words: person.gpurig(verb, inventory, "--json", *words)


def _proven(answer: Answer, host: Host) -> dict[str, Any]:
    found: dict[str, Any] = answer.host(host.name)["proven"]
    return found


def _verdict(answer: Answer, host: Host) -> str:
    return answer.proofs(host.name)[OWN]


def test_a_proof_that_failed_is_never_right(run: Callable[..., Answer], host: Host) -> None:
    """Not by the same command again, and not in a plan."""
    host.write(SAID, "fail")
    first = run("up")
    assert (first.code, _verdict(first, host)) == (1, "failed"), first.problems
    again = run("up")
    assert (again.code, _verdict(again, host)) == (1, "failed"), "it is run again"
    assert not again.changed(host.name)
    plan = run("plan")
    assert plan.code == 1
    assert "train.py" in _proven(plan, host)["failed"][0]


def test_a_proof_that_passed_counts_until_something_changes(
    run: Callable[..., Answer], host: Host
) -> None:
    """Then it is not run again, and the plan says since when."""
    host.write(SAID, "pass")
    up = run("up")
    assert (up.code, _verdict(up, host)) == (0, "passed"), up.problems
    written = host.ssh(f"stat -c %Y.%a {RECORD}").stdout.strip()
    assert written.endswith(".644")
    again = run("up")
    assert (again.code, _verdict(again, host)) == (0, "not-run")
    assert "unchanged since; `gpurig verify` runs it again" in next(
        proof["reason"] for proof in again.host(host.name)["proofs"] if proof["id"] == OWN
    )
    assert host.ssh(f"stat -c %Y.%a {RECORD}").stdout.strip() == written
    plan = run("plan")
    assert (plan.code, _proven(plan, host)["proven"]) == (0, True)


def test_a_change_without_proofs_is_not_proven(run: Callable[..., Answer], host: Host) -> None:
    """Until `up` runs them."""
    host.ssh("rm /opt/gpurig/workloads/trees.py")
    unproven = run("up", "--prove", "never")
    assert unproven.code == 4
    assert "since the last change" in _proven(unproven, host)["missing"]
    assert run("plan").code == 4
    up = run("up")
    assert (up.code, _verdict(up, host)) == (0, "passed"), up.problems


def test_another_program_is_another_proof(
    run: Callable[..., Answer], host: Host, person: Person
) -> None:
    """What passed was the one before; the plan names what is other."""
    (person.home / "train.py").write_text(PROGRAM + "# changed\n")
    plan = run("plan")
    assert plan.code == 3
    assert "programs" in _proven(plan, host)["missing"]
    assert run("up").code == 0


def _process(host: Host, words: str) -> str:
    return host.ssh(
        f"pgrep -af '{words}' | grep -v pgrep; ls -d /tmp/gpurig-* 2>/dev/null; :"
    ).stdout


@pytest.fixture
def proving(host: Host, person: Person, inventory: Path) -> Iterator[subprocess.Popen[str]]:
    """A `verify` whose program is at work on the host."""
    host.write(SAID, "slow")
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gpurig.cli.main", "verify", str(inventory)],
        cwd=person.home, env=kept | {"HOME": str(person.home)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    while "sleep 654" not in _process(host, "sleep 654"):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.5)
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()
    host.write(SAID, "pass")


def _nothing_is_left(host: Host) -> None:
    """No process of the proof's, whatever session it is in, and no folder; within a minute."""
    for _ in range(120):
        if not (left := _process(host, "sleep 654|train.py")):
            return
        time.sleep(0.5)
    raise AssertionError(left)


def test_ctrl_c_while_proving_leaves_nothing(
    proving: subprocess.Popen[str], run: Callable[..., Answer], host: Host, person: Person
) -> None:
    """One sentence that fits, a report, and a host that is not proven."""
    proving.send_signal(signal.SIGINT)
    said, _ = proving.communicate()
    assert proving.returncode == 130
    assert "interrupted while proving; the host is not proven; gpurig verify" in said
    assert "KeyboardInterrupt" not in said
    assert "Traceback" not in said
    report = Path(said.split("report: ")[1].splitlines()[0])
    told = json.loads((report.parent / "report.json").read_text())
    assert told["errors"][0]["code"] == "interrupted"
    assert "Traceback" not in (report.parent / "log").read_text()
    _nothing_is_left(host)
    assert run("plan").code == 4
    host.write(SAID, "pass")
    assert run("up").code == 0


def _kill(proving: subprocess.Popen[str], host: Host) -> None:
    proving.kill()


def _cut(proving: subprocess.Popen[str], host: Host) -> None:
    """The connections break; who is asked next is a new sshd."""
    host.ssh("(sleep 1; pkill -f 'sshd.*root') >/dev/null 2>&1 & :")


def _hang_up(proving: subprocess.Popen[str], host: Host) -> None:
    proving.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("end", [_kill, _cut, _hang_up])
def test_a_run_that_ends_while_proving_leaves_nothing(
    proving: subprocess.Popen[str],
    run: Callable[..., Answer],
    host: Host,
    end: Callable[[subprocess.Popen[str], Host], None],
) -> None:
    """However it ends: what it started ends with it, and the host is not proven."""
    end(proving, host)
    proving.communicate()
    assert proving.returncode
    _nothing_is_left(host)
    plan = run("plan")
    assert (plan.code, _proven(plan, host)["proven"]) == (4, False)
    host.write(SAID, "pass")
    up = run("up")
    assert (up.code, _verdict(up, host)) == (0, "passed"), up.problems
