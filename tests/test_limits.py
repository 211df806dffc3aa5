"""Whatever a host does, or does not, ends: within a bound, with a sentence that names it."""

from __future__ import annotations

import json
import os
import resource
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent.queue
import pytest
from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact
from gpurig.contract.limits import Limits
from gpurig.contract.values import Unknown
from gpurig.engine import proving
from gpurig.engine.runner import Link
from gpurig.errors import HostError, InputError
from gpurig.hosts.answer import Flooded
from gpurig.hosts.connector import GpurigConnector, reading_fact
from gpurig.hosts.exchange import Room, Running, lines
from gpurig.hosts.inventory import HostSpec
from gpurig.hosts.local import LocalTransport
from gpurig.settings.checks import parse_set, validate
from gpurig.training.agent_client import Watched
from gpurig.training.guards import Guards
from gpurig.training.inspection import Node
from gpurig.training.phase import Phase
from gpurig.training.wish import Wish
from gpurig.training.workload import Workload
from gpurig.wheels.download import pieces


def connector_to(transport: LocalTransport) -> GpurigConnector:
    """A connector outside pyinfra's engine."""
    made = object.__new__(GpurigConnector)
    made.host = SimpleNamespace(name="gpu01")
    made.facts, made.failure, made.commands = {}, None, 0
    made.transport = transport
    return made


SHORT = Limits(connect=2, fact=1, command=2, answer=1)


LIMITS = {"connect": 2, "command": 3, "answer": 1}
LATE = {
    "says no banner": ("connect", "no SSH connection to 127.0.0.1"),
    "answers no login": ("connect", "no answer for 2 s while logging in"),
    "opens no channel": ("connect", "no answer for 2 s while starting a command"),
    "answers no exec": ("connect", "no answer for 2 s while starting a command"),
    "begins no command": ("connect", "no answer for 2 s while starting its shell"),
    "prints for ever": ("connect", "no answer for 2 s while starting its shell"),
    "is silent": ("command", "no answer for 3 s"),
    "reads no input": ("command", "no answer for 3 s"),
    "ends without status": ("command", "no answer for 3 s"),
    "floods": ("answer", "one command printed more than 1 MB"),
    "floods before it begins": ("answer", "one command printed more than 1 MB"),
    "floods one line": ("answer", "one command printed more than 1 MB"),
    "floods errors": ("answer", "one command printed more than 1 MB"),
}
TALKATIVE = "has a talkative .bashrc"
UNBEGUN = {
    "runs no command": "the host refuses to run a command",
    "has no login shell": "This account is currently not available.",
    "exits in its profile": "it printed nothing",
    "is a menu": "your choice: invalid",
    "mixes errors in": "its errors are not kept apart from its output",
}

# All at once, in a process in which everything waits as in gpurig itself.
_OVER_SSH = """
from gpurig.hosts import greenlets
greenlets.patch()
import gevent, json, sys, time
from gpurig.errors import GpurigError
from gpurig.hosts.inventory import HostSpec
from gpurig.engine.runner import Link, prepare_engine
prepare_engine()

def one(behaviour, data):
    link, began = Link(HostSpec.of("gpu01", "ssh", "127.0.0.1", data)), time.monotonic()
    stdin = b"x" * (50_000_000 if behaviour == "reads no input" else 0)
    try:
        link.open()
        if behaviour == "TALKATIVE":
            link.lock("ann")
        code, output = link._transport.run("echo one; exit 3", stdin)
        said = json.dumps([code, *output.stdout_lines])
    except GpurigError as error:
        said = str(error)
    link.close()
    return said, time.monotonic() - began

hosts = {name: gevent.spawn(one, name, data) for name, data in json.loads(sys.argv[1]).items()}
gevent.joinall(hosts.values())
print(json.dumps({name: host.value for name, host in hosts.items()}))
""".replace("TALKATIVE", TALKATIVE)


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    """By behaviour of a host: what came of one command there, and after how many seconds."""
    known = tmp_path_factory.mktemp("ssh") / "known_hosts"
    names = [*LATE, *UNBEGUN, TALKATIVE]
    data = {}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("misbehaving_hosts.py"), *names],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as servers:  # fmt: skip
        assert servers.stdout
        for name in names:
            port, _, key = servers.stdout.readline().partition(" ")
            with known.open("a") as file:
                file.write(key)
            data[name] = {
                "ssh_port": int(port), "ssh_user": "root", "ssh_password": "x", "_sudo": False,
                "ssh_known_hosts_file": str(known), "rig_limits": LIMITS,
            }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", _OVER_SSH, json.dumps(data)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        servers.kill()
    assert "Traceback" not in done.stderr, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("name", "key", "said"), [(n, *row) for n, row in LATE.items()], ids=LATE)
def test_a_host_that_misbehaves_is_one_sentence(
    over_ssh: dict[str, tuple[str, float]], name: str, key: str, said: str
) -> None:
    """Host, limit and setting, at each step of a connection and of a command; letting go too."""
    sentence, seconds = over_ssh[name]
    assert f"gpu01: {said}" in sentence
    assert f'raise rig_limits = {{"{key}": ' in sentence
    assert seconds < 30


def test_what_a_shell_prints_by_itself_is_no_answer(
    over_ssh: dict[str, tuple[str, float]],
) -> None:
    """
    Lines, titles and half a line before the command, and a farewell with a status of its own.

    The lock is taken all the same.
    """
    assert over_ssh[TALKATIVE][0] == '[3, "one"]'


@pytest.mark.parametrize(("name", "said"), UNBEGUN.items(), ids=UNBEGUN)
def test_a_shell_that_runs_nothing_is_named(
    over_ssh: dict[str, tuple[str, float]], name: str, said: str
) -> None:
    """With its last words, whatever its exit status is; never taken for an empty answer."""
    sentence, seconds = over_ssh[name]
    assert (
        f"gpu01: the login shell does not run gpurig's command ({said}); run `ssh HOST date`"
        in sentence
    )
    assert seconds < 10


FLOODS = {
    "many short lines": "yes",
    "one long line": "tr '\\0' y </dev/zero",
    "standard error": "yes >&2",
    "both": "yes & yes >&2",
}


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
def test_a_flood_takes_little_memory(script: str) -> None:
    """The issue's 322 MB: what is kept stays near the limit, however it is said."""
    transport = LocalTransport("gpu01", Limits(answer=8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(HostError, match="gpu01: one command printed more than 8 MB; if that"):
        transport.run(script)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000, f"{grown} kB"


SILENT = {
    "sleeps": "sleep 30",
    "reads what never ends": "timeout 9 cat /dev/zero >/dev/null",
    "closes its streams": "exec >&- 2>&-; sleep 30",
    "stops itself": "(sleep 9; kill -KILL $$) & kill -STOP $$",
}


@pytest.mark.parametrize("script", SILENT.values(), ids=SILENT)
def test_silence_has_an_end(script: str) -> None:
    """Also where the command itself has ended, or says that there is nothing more."""
    began = time.monotonic()
    with pytest.raises(
        HostError, match=r'1 s; if that is normal there, raise rig_limits = {"command": 2}'
    ):
        LocalTransport("gpu01", replace(SHORT, command=1)).run(f"echo begun; {script}")
    assert time.monotonic() - began < 6


def test_a_child_that_stays_holds_up_nobody() -> None:
    """A daemon that keeps the streams open: the command has ended, and its status is known."""
    began = time.monotonic()
    code, output = LocalTransport("gpu01", SHORT).run("echo one; sleep 30 & exit 4")
    assert (code, output.stdout_lines) == (4, ["one"])
    assert time.monotonic() - began < 2


def test_a_long_command_that_says_something_goes_on() -> None:
    """The bound is on silence, of its output and of what it reads, not on the whole."""
    script = "for i in 1 2 3 4; do sleep 0.7; echo $i; done; sleep 1.2; head -c 300000 | wc -c"
    _, output = LocalTransport("gpu01", SHORT).run(script, b"x" * 300_000)
    assert output.stdout_lines[-1] == "300000"


def test_input_and_output_flow_at_once() -> None:
    """A command that answers while it reads fills no pipe."""
    _, output = LocalTransport("gpu01", Limits(command=5)).run("cat", b"line\n" * 100_000)
    assert len(output.stdout_lines) == 100_000


class _Late(Fact[str]):
    def command(self) -> str:
        return ""


@pytest.mark.parametrize("together", [False, True])
def test_a_fact_that_is_not_answered_is_unknown(together: bool) -> None:
    """Not the host's end: others are read, and the reason names the limit and the setting."""
    connector = connector_to(LocalTransport("gpu01", SHORT))
    slow, quick = StringCommand("sleep 30"), StringCommand("echo quick")
    if together:
        connector.prefetch([slow, quick], {})
    token = reading_fact.set(True)
    try:
        ok, output = connector.run_shell_command(slow)
        right, other = connector.run_shell_command(quick)
    finally:
        reading_fact.reset(token)
    assert ok
    value = _Late().process(output.stdout_lines)
    assert isinstance(value, Unknown)
    assert value.reason.startswith("no answer within 1 s")
    assert 'raise rig_limits = {"fact": 2}' in value.reason
    assert (right, other.stdout_lines) == (True, ["quick"])
    connector.disconnect()


def test_a_file_from_a_host_may_be_larger_than_an_answer(tmp_path: Path) -> None:
    """It goes to the disk as it comes; a host that sends something else is a failure."""
    (tmp_path / "there").write_bytes(b"x" * 3_000_000)
    connector = connector_to(LocalTransport("gpu01", SHORT))
    assert connector.get_file(str(tmp_path / "there"), str(tmp_path / "here"))
    assert (tmp_path / "here").read_bytes() == b"x" * 3_000_000
    connector._open.run = lambda *_, each, **__: (each("no base 64!"), None)  # type: ignore[method-assign]
    assert not connector.get_file(str(tmp_path / "there"), str(tmp_path / "here"))


def test_a_line_is_cut_off_before_it_fills_the_memory() -> None:
    """However small its pieces are."""
    with pytest.raises(Flooded):
        list(lines(lambda: b"x" * 1000, Room(50_000)))


@pytest.fixture
def mirror() -> Iterator[Callable[[float], str]]:
    """The address of a mirror that sends a byte now and then, or without a pause all it can."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve(pause: float) -> None:
        client, _ = listening.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            while not over.wait(pause):
                client.sendall(b"x" if pause else b"x" * 65536)

    serving: list[threading.Thread] = []

    def start(pause: float) -> str:
        serving.append(threading.Thread(target=serve, args=(pause,)))
        serving[0].start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/x"

    yield start
    over.set()
    serving[0].join()
    listening.close()


@pytest.mark.parametrize(
    ("pause", "bounds", "said"),
    [
        (0.1, (5, 1, 10), r"not complete after 1 s; .* rig_limits"),
        (9, (1, 60, 10), "timed out"),
        (0, (5, 60, 2), "larger than 2 MB"),
    ],
    ids=["drips", "falls silent", "has no end"],
)
def test_a_download_ends(
    mirror: Callable[[float], str], pause: float, bounds: tuple[int, int, int], said: str
) -> None:
    """Also where each byte comes in time, and the file would never be whole."""
    with pytest.raises((OSError, ValueError), match=said):
        list(pieces(mirror(pause), *bounds))


@pytest.mark.parametrize("script", ["exec sleep 30", "exec tr '\\0' y </dev/zero"])
def test_proofs_that_hang_are_one_sentence(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their process has a bound of its own, should its connection's not end it."""
    monkeypatch.setattr(proving, "LATER", 0)
    spec = HostSpec.of("gpu01", "ssh", "gpu01", {"rig_limits": {"command": 1, "answer": 1}})
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout
        os.set_blocking(child.stdout.fileno(), False)
        with pytest.raises(HostError, match=r"gpu01: .* rig_limits = "):
            list(proving._lines(spec, child.stdout.fileno()))
        child.kill()


class _Host:
    """A guard's side of a connection, as a program says it."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.spec = type("Spec", (), {"name": "gpu01"})

    def begin(self, line: str) -> Running:
        return LocalTransport("gpu01").begin(f"sh -c {shlex.quote(self.script)}")


STRANGE = [
    "nonsense", "[" * 9999, '{"run": "x", "exit": 1}', '{"exit": 1}', '{"run": 1, "out": 7}',
    '{"ask": 1}', '{"run": true, "exit": 0}', "null", "\x1b[2J",
]  # fmt: skip


def test_a_guard_that_talks_nonsense_is_passed_over() -> None:
    """No line of it reaches the training, and what is right does."""
    queue: gevent.queue.Queue[Any] = gevent.queue.Queue()
    right = '{"run": 1, "out": "epoch 1"}'
    printed = shlex.quote("\n".join([*STRANGE, right]))
    watched = Watched(_Host(f"printf '%s\\n' {printed}; cat >/dev/null"), "python3", queue)  # type: ignore[arg-type]
    assert queue.get(timeout=5)[1] == json.loads(right)
    watched.close()
    watched.wait()


def test_a_guard_that_floods_a_line_is_named() -> None:
    """A host whose line has no end is let go of, with its name and the bound."""
    queue: gevent.queue.Queue[Any] = gevent.queue.Queue()
    watched = Watched(_Host("tr '\\0' y </dev/zero"), "python3", queue)  # type: ignore[arg-type]
    assert queue.get(timeout=5) == (watched, None)
    assert "gpu01: it printed a line of more than 2 MB" in str(watched.lost())
    watched.close()
    watched.wait()


def test_a_training_that_says_nothing_ends() -> None:
    """Its hosts are there, their programs are silent: one sentence names the setting."""
    link = Link(HostSpec.of("gpu01", "ssh", "gpu01", {"rig_limits": {"training": 5}}))
    guards = Guards([Node(link, "/venvs/x", "ann", {}, (), 0, "")])
    screen: Any = None
    phase = Phase(guards, Wish("torchrun", "x", Workload("a.py", {})), screen)
    phase.refuse_silence(time.monotonic() - 4)
    with pytest.raises(
        HostError, match=r'no answer for 5 s while the program was training; .*"training": 10'
    ):
        phase.refuse_silence(time.monotonic() - 6)


@pytest.mark.parametrize(
    "value", [{"comand": 3}, {"command": 0}, {"command": -1}, {"fact": "9"}, {"answer": True}, [],
              {"connect": 10**8}, {"connect": 1.5}],
)  # fmt: skip
def test_a_wrong_limit_is_one_sentence(value: Any) -> None:
    """Before any host is contacted, with the names that there are."""
    with pytest.raises(InputError, match="rig_limits must be a table"):
        validate({"rig_limits": value}, "x")


def test_a_limit_is_set_on_the_command_line() -> None:
    """The others stay as they are."""
    data = parse_set(["rig_limits={command = 9}"])
    assert Limits(**validate(data, "x").limits) == Limits(command=9)
