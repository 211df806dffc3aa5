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


@pytest.mark.long
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


@pytest.mark.parametrize(
    "end", [_kill, *(pytest.param(one, marks=pytest.mark.long) for one in (_cut, _hang_up))]
)
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


def test_a_gpu_that_is_gone_is_no_wish(run: Callable[..., Answer], host: Host) -> None:
    """It is named and nothing is changed; a person's word that it is gone for good counts."""
    host.write(SAID, "pass")
    assert run("up").code == 0
    record = json.loads(host.read(RECORD))
    record["state"]["GPUs"] = "10de:2330 at 0000:41:00.0"
    host.write(RECORD, json.dumps(record))
    for verb in ("plan", "up", "verify"):
        answer = run(verb)
        assert answer.code == 1, verb
        (error,) = answer.host(host.name)["errors"]
        assert error["code"] == "hardware-gone"
        assert "NVIDIA H100" in error["what"]
        assert "0000:41:00.0" in error["what"]
    assert json.loads(host.read(RECORD)) == record, "nothing is changed"
    assert run("up", "--accept-hardware").code == 0
    assert run("plan").code == 0


def _record(host: Host) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(host.read(RECORD))
    return told


STORE = "/srv/store"
VENVS = "/opt/gpurig/venvs"
# What is there when the host is set up, what takes it away, the error, words of it, and how it
# comes back.
LOSSES = {
    "an account": (
        "useradd -m ada", "userdel -r ada", "account-gone", "user ada had an account",
        "useradd -m ada", ("--set", "rig_users=ada"),
    ),
    "a file system": (
        f"mkdir {STORE}; find {VENVS} -mindepth 1 -maxdepth 1 -exec mv -t {STORE} {{}} +;"
        f" mount --bind {STORE} {VENVS}",
        f"umount {VENVS}", "mount-gone", f"{VENVS} lay on a file system at {VENVS}",
        f"mount --bind {STORE} {VENVS}", (),
    ),
    "a mirror of packages": (
        "sed -i s,http://,http://ada:secret@, /etc/apt/sources.list.d/debian.sources",
        "mv /etc/apt/sources.list.d/debian.sources /root/", "mirror-gone",
        "/etc/apt/sources.list.d/debian.sources is gone, from which apt knew http://",
        "mv /root/debian.sources /etc/apt/sources.list.d/", (),
    ),
    "a mirror of images": (
        "mkdir -p /etc/docker && printf '{\\n \"registry-mirrors\": [\\n"
        " \"https://hub.example.com\"]}' >/etc/docker/daemon.json",
        "rm /etc/docker/daemon.json", "mirror-gone", "Docker knew https://hub.example.com",
        "echo '{\"registry-mirrors\": [\"https://hub.example.com\"]}' >/etc/docker/daemon.json",
        (),
    ),
}  # fmt: skip


LONG = ("an account", "a mirror of images")


@pytest.mark.parametrize(
    "loss", [pytest.param(x, marks=pytest.mark.long) if x in LONG else x for x in LOSSES]
)
def test_what_the_set_up_stood_on_is_no_wish_when_it_is_gone(
    run: Callable[..., Answer], host: Host, loss: str
) -> None:
    """It is named, nothing is built in its place, and once it is back the host is right."""
    there, away, code, words, back, options = LOSSES[loss]
    host.ssh(there)
    assert run("up", *options).code == 0
    before = _record(host)
    host.ssh(away)
    for verb in ("plan", "up"):
        answer = run(verb, *options)
        assert answer.code == 1
        (error,) = answer.host(host.name)["errors"]
        assert error["code"] == code
        assert words in error["what"]
        assert "secret" not in answer.out
        assert not answer.host(host.name)["plan"]
    assert _record(host) == before
    assert not host.ssh(f"[ ! -e {STORE} ] || mountpoint -q {VENVS} || ls -A {VENVS}").stdout
    host.ssh(back)
    assert run("plan", *options).code == 0


def test_nothing_is_built_where_a_file_system_belongs(
    run: Callable[..., Answer], host: Host
) -> None:
    """Also before gpurig was ever there: /etc/fstab says what belongs."""
    host.ssh("mkdir '/srv/a disk' && echo 'LABEL=no /srv/a\\040disk ext4 nofail 0 0' >>/etc/fstab")
    other = ("--set", 'rig_venv_root="/srv/a disk/venvs"')
    answer = run("up", *other)
    (error,) = answer.host(host.name)["errors"]
    assert (answer.code, error["code"]) == (1, "mount-gone")
    assert "/srv/a disk is not mounted" in error["what"]
    assert not host.ssh("ls '/srv/a disk'").stdout
    host.ssh("sed -i '/LABEL=no/d' /etc/fstab")


def test_what_is_lost_during_the_changes_is_named(run: Callable[..., Answer], host: Host) -> None:
    """The host is not right then, and no training is run."""
    program = "/opt/gpurig/workloads/trees.py"
    entry = "LABEL=no /opt/gpurig ext4 nofail 0 0"
    loses = f"until [ -e {program} ]; do sleep 0.01; done; echo {entry} >>/etc/fstab"
    host.ssh(f"rm {program}; (trap '' HUP; {loses}) >/dev/null 2>&1 </dev/null &")
    answer = run("up")
    (error,) = answer.host(host.name)["errors"]
    assert (answer.code, error["code"]) == (1, "mount-gone")
    assert answer.changed(host.name)
    assert not answer.host(host.name)["proofs"]
    host.ssh("sed -i '/LABEL=no/d' /etc/fstab")
    assert run("up").code == 0


@pytest.mark.long
def test_switches_that_are_gone_are_named(run: Callable[..., Answer], host: Host) -> None:
    """As GPUs are, with their slot."""
    record = _record(host)
    record["there"]["switches"] = ["10de:22a3 at 0000:07:00.0"]
    host.write(RECORD, json.dumps(record))
    answer = run("plan")
    (error,) = answer.host(host.name)["errors"]
    assert (answer.code, error["code"]) == (1, "hardware-gone")
    assert "NVSwitch (10de:22a3) at 0000:07:00.0" in error["what"]
    assert run("up", "--accept-hardware", "--prove", "never").code == 4, "a yes is remembered"
    assert run("up").code == 0


def test_a_gpu_that_went_before_any_proof_is_no_wish(
    run: Callable[..., Answer], host: Host
) -> None:
    """What gpurig made for it is there, and stays; nobody makes a CPU's of it unasked."""
    file = f"{VENVS}/xgboost/.gpurig.json"
    host.ssh(f"rm {RECORD}; sed -i 's/-cpu/-cuda13/' {file}")
    made = host.read(file)
    assert "-cuda13" in made
    for verb in ("plan", "up"):
        answer = run(verb)
        assert answer.code == 1
        (error,) = answer.host(host.name)["errors"]
        assert error["code"] == "hardware-gone"
        assert "the environment xgboost is for CUDA" in error["what"]
    assert host.read(file) == made
    assert not host.ssh(f"ls {RECORD} 2>/dev/null || :").stdout
    assert run("up", "--accept-hardware").code == 0
    assert run("plan").code == 0
