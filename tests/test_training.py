"""Training on many hosts, without hosts: the guard as it runs there, commands, results."""

from __future__ import annotations

import base64
import getpass
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpurig.engine.runner import Link
from gpurig.hosts.inventory import HostSpec
from gpurig.settings.redaction import Redaction
from gpurig.training import agent, engines, output, relay
from gpurig.training.inspection import Node
from gpurig.training.wish import Outcome, Wish
from gpurig.training.workload import Workload, source


class Guarded:
    """A guard of this machine's own user, as a control machine has it."""

    def __init__(self, folder: Path, program: Path, begins: bool = True) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        files = {"bin/ssh": f'#!/bin/sh\nexec {sys.executable} -I {folder}/relay.py "$@"\n'}
        files["relay.py"] = source("gpurig.training", "relay.py")
        self.say("prepare", user=getpass.getuser(), folder=str(folder), files=files,
                 folders=["work", "home"], copies=["alone"], relay=relay.SOCKET,
                 hosts="")  # fmt: skip
        for piece in (b"one ", b"two"):
            self.say("put", file="work/a/b.txt", data=base64.b64encode(piece).decode(), mode=0o755)
        if begins:
            self.say("begin")

    def say(self, what: str, **more: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"gpurig": what} | more) + "\n")

    def run(self, script: str, number: int = 1) -> None:
        words = ["/bin/sh", "-c", script]
        self.say("run", run=number, words=words, environment={"PATH": "/usr/bin:/bin"})

    def until(self, key: str) -> list[dict[str, Any]]:
        """All that is told until something with this key is."""
        assert self.process.stdout
        seen: list[dict[str, Any]] = []
        for line in self.process.stdout:
            seen.append(json.loads(line))
            if key in seen[-1]:
                return [one for one in seen if "alive" not in one]
        raise AssertionError(f"ended without {key}: {seen}")


AGENT = Path(agent.__file__)
SOON = 3  # seconds, in the place of agent.PATIENCE


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """A guard; it has ended when the test has."""
    yield from _until_the_end(Guarded(tmp_path / "private", AGENT))


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Guarded]:
    """The same, but that it bears less silence, and tells sooner how far a bar is."""
    program, text = tmp_path / AGENT.name, AGENT.read_text()
    for name, seconds in (("PATIENCE", SOON), ("BAR", 1)):
        named = f"\n{name} = {getattr(agent, name)} "
        assert named in text
        text = text.replace(named, f"\n{name} = {seconds} ")
    program.write_text(text)
    yield from _until_the_end(Guarded(tmp_path / "private", program))


def _until_the_end(made: Guarded) -> Iterator[Guarded]:
    yield made
    made.process.kill()
    made.process.communicate()


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_lines_and_the_end_are_told_under_their_number(guarded: Guarded) -> None:
    """Standard output and error, a signal or an exit code; what cannot start is 127."""
    guarded.run("echo one; echo two >&2; exit 3")
    said = guarded.until("exit")
    assert {"run": 1, "out": "one"} in said
    assert {"run": 1, "err": "two"} in said
    assert said[-1] == {"run": 1, "exit": 3}
    guarded.run("kill -9 $$", 2)
    assert guarded.until("exit")[-1] == {"run": 2, "exit": -9}
    guarded.say("run", run=3, words=["/no/such/program"], environment={})
    assert guarded.until("exit")[-1] == {"run": 3, "exit": 127}


def _said(guard: Guarded) -> list[str]:
    """The lines of a command's standard output, until it has ended."""
    return [one["out"] for one in guard.until("exit") if "out" in one]


def test_a_line_is_told_as_a_terminal_shows_it(guarded: Guarded) -> None:
    """Of a bar what is drawn last, once; the end of a line of DOS is none of its text."""
    guarded.run(r"printf '\r 1%%\r 2%%\r 3%%\n\ndos\r\nleft 1%%\rleft 2%%\r'")
    assert _said(guarded) == [" 3%", "", "dos", "left 2%"]


def test_what_is_no_text_is_replaced(guarded: Guarded) -> None:
    """A letter that comes in two pieces is one."""
    guarded.run(r"printf '\377\303'; sleep 0.3; printf '\251\n'")
    assert _said(guarded) == ["\ufffdé"]


def test_a_bar_that_goes_on_is_told_now_and_then(impatient: Guarded) -> None:
    """Also where nothing comes after it."""
    impatient.run(r"printf 'no bar'; printf '\r 1%%\r 2%%' >&2; exec sleep 9999")
    said = impatient.until("err")
    assert said[-1]["err"] == " 2%"
    assert not any("out" in one for one in said)


def test_lines_are_the_same_wherever_their_pieces_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of a bar before its end is not told again; other lines are told at their end."""
    told: list[str] = []
    lines = agent.Lines(told.append)
    for piece in "\r10%\r20%\r\nplain\r\n\r\n":
        lines.take(piece)
        lines.look(ends=False)
    assert told == ["20%", "plain", ""]
    monkeypatch.setattr(agent, "BAR", 0)
    told.clear()
    for piece in ("\r10%", "", "\r20%", "\n", "pla", "in\n"):
        lines.take(piece)
        lines.look(ends=False)
    assert told == ["10%", "20%", "plain"]


def test_a_line_without_end_takes_no_more_room_than_one() -> None:
    """A bar is only what it shows; what is longer than a line may be is told in parts."""
    told: list[str] = []
    lines = agent.Lines(told.append)
    for _ in range(1000):
        lines.take("\r" + "#" * 1000)
    assert len(lines.line) < 1100
    assert not told
    lines.take("\n" + "x" * (2 * agent.LONGEST + 1))
    lines.look(ends=True)
    assert [len(one) for one in told] == [1000, agent.LONGEST, agent.LONGEST, 1]


# What saves a checkpoint when it is asked to end, for which it starts another process.
SAVES = """
import os, signal, subprocess, time
def save(*_):
    os.write(1, b"asked\\n")
    os.write(1, b"%d\\n" % subprocess.run(["sleep", "9999"]).returncode)
signal.signal(signal.SIGTERM, save)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.1)
"""


def test_each_process_is_asked_once_to_end(guarded: Guarded) -> None:
    """Also one that comes later, and one whose parent has ended; what stays is killed."""
    words = ["/bin/sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", SAVES]
    guarded.say("run", run=1, words=words, environment={"PATH": "/usr/bin:/bin"})
    guarded.until("out")
    began = time.monotonic()
    guarded.say("end", run=1)
    assert _said(guarded) == ["asked", "-15"]
    assert agent.GRACE <= time.monotonic() - began < agent.LAST


def test_when_nobody_is_there_nothing_is_left(guarded: Guarded) -> None:
    """The end of the input ends what detached itself and what ignores SIGTERM; the folder goes."""
    guarded.run("setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & sleep 9999")
    detached = int(guarded.until("out")[-1]["out"])
    assert _alive(detached)
    assert guarded.folder.stat().st_mode & 0o777 == 0o700
    assert guarded.process.stdin
    guarded.process.stdin.close()
    guarded.until("ended")
    assert guarded.process.wait() == 0
    assert not _alive(detached)
    assert not guarded.folder.exists()


def test_a_program_has_its_folder_and_a_copy_to_compare(guarded: Guarded) -> None:
    """Each with all pieces of its files; a command runs in the one that it is told."""
    words = ["/bin/sh", "-c", "cat a/b.txt; echo; pwd"]
    for number, folder in enumerate(("work", "alone"), 1):
        guarded.say("run", run=number, words=words, environment={"PATH": "/bin"}, folder=folder)
        said = [one["out"] for one in guarded.until("exit") if "out" in one]
        assert said == ["one two", str(guarded.folder / folder)]
    assert (guarded.folder / "work/a/b.txt").stat().st_mode & 0o777 == 0o755
    assert (guarded.folder / "sent.json").exists()


def test_a_folder_that_no_file_makes_is_there(tmp_path: Path) -> None:
    """A program writes into it as at home: no checkpoint is lost, since git ignores its folder."""
    for name in ("own/checkpoints/old.pt", "own/train.py", "own/.gitignore"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("/checkpoints/")
    (tmp_path / "own/logs/deep").mkdir(parents=True)
    guard = Guarded(tmp_path / "private", AGENT, begins=False)
    for name, sent in Workload.of(str(tmp_path / "own/train.py"), ()).files.items():
        data = base64.b64encode(sent.read_bytes()).decode()
        guard.say("put", file=f"work/{name}", data=data, mode=0o644)
    guard.say("begin")
    guard.run("cd work && : >checkpoints/last.pt && ls checkpoints; cd ../alone && find [cl]*")
    assert _said(guard) == ["last.pt", "checkpoints", "logs", "logs/deep"]
    guard.process.communicate()


@pytest.mark.parametrize("name", ["work/../../out", "work/../../out/", "{}/out", "{}/out/"])
def test_no_name_leads_out_of_the_private_folder(tmp_path: Path, name: str) -> None:
    """The guard is root: it ends instead."""
    guard = Guarded(tmp_path / "private", AGENT, begins=False)
    guard.say("put", file=name.format(tmp_path), data="", mode=0o644)
    guard.process.communicate()
    assert guard.process.returncode == 1
    assert not list(tmp_path.iterdir())


def test_results_that_are_nowhere_else_stay(guarded: Guarded) -> None:
    """Only they: no link, no copy, no cache."""
    guarded.run("ln -s /etc work/link; ln -s /etc etc; echo 1 >work/model.bin; echo 1 >home/cache")
    guarded.until("exit")
    guarded.say("keep")
    assert guarded.process.stdin
    guarded.process.stdin.close()
    guarded.until("ended")
    assert [file.name for file in guarded.folder.iterdir()] == ["work"]
    assert (guarded.folder / "work/model.bin").exists()
    assert Path("/etc/passwd").exists()


def test_a_control_machine_that_falls_silent_ends_it(impatient: Guarded) -> None:
    """Nothing is heard and nothing is closed: as when its network is gone."""
    impatient.run("echo $$; exec sleep 9999")
    running = int(impatient.until("out")[-1]["out"])
    began = time.monotonic()
    impatient.until("ended")
    assert time.monotonic() - began > SOON - 2, "it was not the silence"
    assert not _alive(running)


def test_one_command_is_ended_and_the_others_stay(guarded: Guarded) -> None:
    """As where horovodrun lets go of one host."""
    guarded.run("exec sleep 9999", 1)
    guarded.run("echo $$; exec sleep 9999", 2)
    other = int(guarded.until("out")[-1]["out"])
    guarded.say("end", run=1)
    assert guarded.until("exit")[-1] == {"run": 1, "exit": -15}
    assert _alive(other)


# As torchrun: each worker in a session of its own, told to end by its launcher, and slow to.
LAUNCHER = """
import signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", '''
import signal, sys, time
def save(*_):
    print("saving", flush=True)
    time.sleep(60)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
'''], start_new_session=True)
def ask(*_):
    worker.terminate()
    sys.exit(1)
signal.signal(signal.SIGTERM, ask)
print(worker.pid, flush=True)
time.sleep(60)
"""


def test_what_a_launcher_leaves_behind_ends_with_its_command(guarded: Guarded) -> None:
    """The launcher asks its worker, once; what is left after the grace is killed."""
    guarded.run(f"exec {sys.executable} -c {shlex.quote(LAUNCHER)}", 1)
    told = [guarded.until("out")[-1]["out"], guarded.until("out")[-1]["out"]]
    worker = next(int(line) for line in told if line.isdecimal())
    guarded.say("end", run=1)
    lines = guarded.until("exit")
    # On a busy machine the grace may be over before it gets to say so.
    assert [line["out"] for line in lines if "out" in line] in (["saving"], [])
    assert not _alive(worker)


ENDS = {
    "cut off while it is prepared": (False, "", False, False),
    "nothing was written": (True, ":", False, False),
    "results that nobody fetched": (True, "echo x >work/result", False, True),
    "results that are safe elsewhere": (True, "echo x >work/result", True, False),
    "what Python makes again": (
        True,
        "mkdir work/__pycache__; : >work/__pycache__/a",
        False,
        False,
    ),
}


@pytest.mark.parametrize(("begins", "does", "drops", "stays"), ENDS.values(), ids=ENDS)
def test_only_results_that_are_not_safe_stay_on_a_host(
    tmp_path: Path, begins: bool, does: str, drops: bool, stays: bool
) -> None:
    """In the folder `work`, when the control machine is gone; all else goes."""
    guard = Guarded(tmp_path / "private", AGENT, begins)
    if does:
        guard.run(does)
        guard.until("exit")
    if drops:
        guard.say("drop")
    guard.process.communicate()
    found = [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()]
    wanted = ["private/work/a/b.txt", "private/work/result"] if stays else []
    assert sorted(found) == wanted
    assert (tmp_path / "private").exists() == stays


def test_what_is_found_as_ssh_asks_for_the_command(guarded: Guarded) -> None:
    """As horovodrun 0.28.1 calls it; its exit code is that of the command, and it is let go of."""
    options = "-o PasswordAuthentication=no -o StrictHostKeyChecking=no"
    guarded.run(f"bin/ssh {options} 10.0.0.2  -o ConnectTimeout=10 true")
    asked = guarded.until("ask")[-1]
    assert (asked["host"], asked["command"]) == ("10.0.0.2", "true")
    guarded.say("answer", ask=asked["ask"], code=7)
    assert guarded.until("exit")[-1]["exit"] == 7
    guarded.run(f"exec bin/ssh {options} 10.0.0.3    'cd /x ; env A=1 -o \"b c\"'", 2)
    asked = guarded.until("ask")[-1]
    assert asked["command"] == 'cd /x ; env A=1 -o "b c"'
    guarded.say("end", run=2)
    assert guarded.until("dropped")[-1]["dropped"] == asked["ask"]


def _nodes(count: int, **more: Any) -> list[Node]:
    made = []
    for n in range(1, count + 1):
        link = Link(HostSpec.of(f"gpu0{n}", "ssh", f"gpu0{n}", {}))
        node = Node(link, "/venvs/x y", "ann", {"tensorflow": "2.21.0"}, ("torchrun",), 0, "")
        node.address, node.interface, node.ports = f"10.0.0.{n}", f"eth{n}", (4000 + n, 5000 + n)
        made.append(node)
    return made


def test_each_engine_is_called_as_its_users_call_it() -> None:
    """Rendezvous, ranks and addresses of three hosts, each in its own place."""
    nodes = _nodes(3)
    nodes[1].processes = 2
    first, second, _ = engines.commands("torchrun", nodes, ["a.py", "-x"], "id", "/x")
    assert first
    assert second
    assert {"--nnodes=3", "--rdzv-endpoint=10.0.0.1:4001", "--rdzv-id=id"} <= {*first.words}
    assert "--rdzv-conf=is_host=1" in first.words
    assert {"--rdzv-conf=is_host=0", "--nproc-per-node=2", "--local-addr=10.0.0.2"} <= {
        *second.words
    }
    third = engines.commands("multiworker", nodes, ["a.py"], "id", "/x")[2]
    assert third
    assert json.loads(third.environment["TF_CONFIG"]) == {
        "cluster": {"worker": ["10.0.0.1:4001", "10.0.0.2:4002", "10.0.0.3:4003"]},
        "task": {"type": "worker", "index": 2},
    }
    only, *others = engines.commands("horovod", nodes, ["a.py"], "id", "/x")
    assert only
    assert others == [None, None]
    assert "10.0.0.1:1,10.0.0.2:2,10.0.0.3:1" in only.words
    assert only.words[1:3] == ["-np", "4"]
    script = engines.rank_script("horovod", nodes[1], 1, {}).splitlines()
    assert {"export HOROVOD_GLOO_IFACE=eth2", "export NCCL_SOCKET_IFNAME=eth2"} < {*script}
    assert script[-1] == "exec '/venvs/x y/bin/python' \"$@\""


WISH = Wish("torchrun", "pytorch", Workload.of("mnist", ()))
RANKS = [
    {"rank": 0, "host": "gpu01", "weights_sha256": "aa"},
    {"rank": 1, "host": "gpu02", "weights_sha256": "aa"},
]
GOOD = {"passed": True, "accuracy": 0.98, "threshold": 0.97, "ranks": RANKS}
WRONG = {
    "no line": (None, "printed no JSON line"),
    "other weights": (
        GOOD | {"ranks": [RANKS[0], RANKS[1] | {"weights_sha256": "bb"}]},
        "different weights (0 on gpu01 aa, 1 on gpu02 bb)",
    ),
    "a rank is missing": (
        GOOD | {"ranks": RANKS[:1]},
        "1 ranks reported their weights instead of 2",
    ),
    "not learnt": (GOOD | {"passed": False, "accuracy": 0.5}, "accuracy 0.5000 is below 0.97"),
    "no reason": (GOOD | {"passed": False}, "reports that it did not pass"),
}


@pytest.mark.parametrize(("result", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_result_is_a_failure(result: dict[str, Any] | None, said: str) -> None:
    """Weights, ranks and accuracy are compared, whatever the program says of itself."""
    (error,) = Workload.of("mnist", ()).judged(result, 2, "gpu01")
    assert said in str(error)
    assert output.exit_code(Outcome(errors=[error], connected=True)) == 1


def test_the_ending_has_weights_and_speed_up() -> None:
    """Shown, not judged."""
    outcome = Outcome(_nodes(2), GOOD | {"images_per_second": 150}, {"images_per_second": 100})
    assert not Workload.of("mnist", ()).judged(outcome.told, 2, "gpu01")
    text = "\n".join(output.ending(outcome))
    assert "weights: the same on 2 ranks" in text
    assert "images/s: 150, 1.50 times as many as one process on gpu01 (100)" in text
    frame = json.loads(output.as_text(outcome, WISH, Redaction([])))
    assert frame["training"]["speed_up"] == 1.5
    assert output.exit_code(outcome) == 0
