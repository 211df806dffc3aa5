"""What is remembered of a host's proofs, and what it means for the next run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gpurig.contract.values import ABSENT, Unknown
from gpurig.engine import proven
from gpurig.engine.result import HostResult, Proof, ProofVerdict, Standing
from gpurig.facts.host.proven import RECORD, Proven, ProvenRecord
from gpurig.report.summary import ending
from gpurig.settings.table import Settings
from gpurig.stack.model import Environment, Gpu, Stack

STATE = {"kernel": "6.12.117", "GPUs": "10de:2330 at 0000:01:00.0"}
LEARNT = Proof("workloads.mnist.tensorflow", "A network learns MNIST", ProofVerdict.PASSED)
FAILED = Proof("workloads.mnist.tensorflow", "A network learns MNIST", ProofVerdict.FAILED, "0.4")
DEFERRED = Proof(
    "workloads.mnist.tensorflow", "A network learns MNIST", ProofVerdict.NOT_RUN, deferred=True
)
ANSWERS = Proof("docker.answers", "Docker answers", ProofVerdict.PASSED)
STACK = Stack(
    "debian:13",
    "x86_64",
    gpus=(Gpu("10de:2330", "hopper", "9.0", "0000:01:00.0"),),
    environments=(
        Environment("tensorflow", "tensorflow", None, "2.21.0", "3.13", "cpu", (), "tf-2.21.0"),
    ),
)
FACTS = {
    "kernel": {"running": "6.12.117"},
    "driver_installed": None,
    "docker_installed": {"package": "docker.io", "version": "26.1.5", "source": "distribution"},
}


def test_nothing_was_ever_proven() -> None:
    """Absent is not passed."""
    assert not proven.standing(ABSENT, STATE).proven
    assert "have not run" in proven.standing(ABSENT, STATE).missing


def test_a_record_that_cannot_be_read_proves_nothing() -> None:
    """Unknown is not passed either, and its reason is told."""
    assert "cut off" in proven.standing(Unknown("cut off"), STATE).missing


def test_all_passed_and_nothing_moved() -> None:
    """Then the host is proven, since the oldest of its proofs."""
    record = proven.joined(ABSENT, STATE, [LEARNT, ANSWERS])
    standing = proven.standing(record, STATE)
    assert standing.proven
    assert standing.since.startswith("20")


@pytest.mark.parametrize(
    ("part", "now", "sentence"),
    [
        ("kernel", "6.12.118", "kernel 6.12.117 -> 6.12.118"),
        ("GPUs", "", "GPUs 10de:2330 at 0000:01:00.0 -> none"),
        ("driver", "550.163.01", "driver none -> 550.163.01"),
    ],
)
def test_a_host_that_moved_on_is_not_proven(part: str, now: str, sentence: str) -> None:
    """A passed proof holds for the state in which it ran, and the sentence says what moved."""
    record = proven.joined(ABSENT, STATE, [LEARNT])
    state = {key: text for key, text in {**STATE, part: now}.items() if text}
    assert sentence in proven.standing(record, state).missing


def test_an_environment_that_goes_takes_nothing_from_the_others() -> None:
    """One that comes, or is another release, is not proven."""
    both = {**STATE, "environments": "jax-0.10.2, tf-2.21.0"}
    record = proven.joined(ABSENT, both, [LEARNT])
    assert proven.standing(record, {**STATE, "environments": "tf-2.21.0"}).proven
    assert proven.standing(record, STATE).proven
    assert not proven.standing(record, {**STATE, "environments": "tf-2.22.0"}).proven
    assert not proven.standing(record, {**both, "images": "pytorch"}).proven


@pytest.mark.parametrize("verdict", [ProofVerdict.FAILED, ProofVerdict.UNKNOWN])
def test_what_failed_stays_failed(verdict: ProofVerdict) -> None:
    """Also over a run that ran it not again."""
    bad = Proof(FAILED.id, FAILED.title, verdict, "0.4")
    record = proven.joined(ABSENT, STATE, [bad, ANSWERS])
    again = proven.joined(record, STATE, [DEFERRED, ANSWERS])
    assert proven.standing(again, STATE).failed == ("A network learns MNIST: 0.4",)


def test_a_deferred_proof_keeps_what_it_showed() -> None:
    """And one of which nothing is known never becomes passed."""
    record = proven.joined(ABSENT, STATE, [LEARNT])
    assert proven.standing(proven.joined(record, STATE, [DEFERRED]), STATE).proven
    assert proven.standing(proven.joined(ABSENT, STATE, [DEFERRED]), STATE).failed


def test_a_record_is_written_only_where_it_says_something_new() -> None:
    """A run on a host that is right costs no command for it."""
    record = proven.joined(ABSENT, STATE, [LEARNT, ANSWERS])
    assert not proven.differs(record, proven.joined(record, STATE, [DEFERRED, ANSWERS]))
    assert proven.differs(record, proven.joined(record, STATE, [FAILED, ANSWERS]))
    assert proven.differs(record, proven.joined(record, {**STATE, "kernel": "7"}, [LEARNT]))
    assert proven.differs(ABSENT, record)


def test_the_record_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with quotes, newlines and other scripts in a sentence; and its mode is 644."""
    file = tmp_path / "lib" / "proven.json"
    monkeypatch.setattr(proven, "RECORD", str(file))
    said = Proof("a.b", 'It\'s "so"', ProofVerdict.FAILED, "日本 $(id) `id`\n'")
    record = proven.joined(ABSENT, STATE, [said])
    subprocess.run(["sh", "-c", f"umask 077; {proven.remember(record)}"], check=True)
    read = ProvenRecord().parse(file.read_text().splitlines(), 0)
    assert read == record
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"state": {}, "proofs": []}', '{"state": {}, "proofs": {"a": {}}}']
)
def test_a_broken_record_is_unknown(text: str) -> None:
    """Whoever wrote it."""
    frame = [*text.splitlines(), "", "gpurig-exit:0"]
    assert isinstance(ProvenRecord().process(frame), Unknown)
    assert ProvenRecord().process(["", "gpurig-exit:3"]) is ABSENT
    assert RECORD in ProvenRecord().command().get_raw_value()


def test_the_state_names_what_a_proof_holds_for(tmp_path: Path) -> None:
    """The kernel that runs, GPUs by slot, what is installed, and each program's content."""
    program = tmp_path / "train.py"
    program.write_text("print(1)")
    settings = Settings(workloads=(f"tensorflow:{program}",))
    state = proven.state(STACK, settings, FACTS)
    assert state["kernel"] == "6.12.117"
    assert state["GPUs"] == "10de:2330 at 0000:01:00.0"
    assert state["Docker"] == "docker.io 26.1.5 distribution"
    assert state["environments"] == "tf-2.21.0"
    program.write_text("print(2)")
    assert proven.state(STACK, settings, FACTS)["programs"] != state["programs"]


def _record(*proofs: Proof) -> Proven:
    return proven.joined(ABSENT, STATE, proofs)


@pytest.mark.parametrize(
    ("standing", "code", "head"),
    [
        (proven.standing(_record(LEARNT), STATE), 0, "gpu01: OK"),
        (proven.standing(ABSENT, STATE), 4, "gpu01: OK, but not proven"),
        (proven.standing(_record(FAILED), STATE), 1, "gpu01: not OK"),
    ],
)
def test_a_plan_says_what_is_proven(standing: Standing, code: int, head: str) -> None:
    """By its exit code, its head line and a sentence."""
    result = HostResult("gpu01", answer=STACK, standing=standing, connected=True)
    lines = ending(result, Settings(), "plan")
    assert result.exit_code("plan") == code
    assert lines[0] == head
    assert any("proven" in line or "failed" in line for line in lines[1:])
    assert json.loads(json.dumps(result.as_json()))["proven"]["proven"] is (code == 0)


TWO = "10de:2330 at 0000:41:00.0, 10de:2330 at 0000:81:00.0"
GONE = {
    "both are there": (TWO, ["41", "81"], []),
    "one fell off": (TWO, ["41"], ["0000:81:00.0"]),
    "all are gone": (TWO, [], ["0000:41:00.0", "0000:81:00.0"]),
    "one is in another slot": (TWO, ["41", "c1"], []),
    "another one is there instead": ("10de:2684 at 0000:81:00.0", ["81"], ["0000:81:00.0"]),
    "a third came": (TWO, ["41", "81", "c1"], []),
    "they were assumed": ("10de:2330, 10de:2330", [], []),
    "there was none": ("", [], []),
}


@pytest.mark.parametrize("case", GONE)
def test_a_gpu_that_was_proven_and_is_gone_is_named(case: str) -> None:
    """By its slot; one that is in another slot is not gone, and neither is an assumed one."""
    was, slots, named = GONE[case]
    record = Proven(state={"GPUs": was} if was else {}, proofs={})
    now = [{"id": "10de:2330", "address": f"0000:{slot}:00.0"} for slot in slots]
    found = proven.gone(record, now or ABSENT)
    assert [one.rpartition(" at ")[2] for one in found] == named
    assert not named or "(10de:" in found[0]


def test_what_cannot_be_read_is_not_gone() -> None:
    """Neither where the PCI bus cannot be read, nor where nothing was proven."""
    record = Proven(state={"GPUs": TWO}, proofs={})
    assert proven.gone(record, Unknown("/sys is not mounted")) == []
    assert proven.gone(ABSENT, ABSENT) == []
