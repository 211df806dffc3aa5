"""Who reaches a training, and who reads what it was given: ports, addresses, variables."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra import logger

from gpurig.cli import train
from gpurig.engine.runner import Link, prepare_engine
from gpurig.errors import HostError, InputError
from gpurig.hosts.inventory import HostSpec
from gpurig.training import engines, inspection, route
from gpurig.training.engine_names import ENGINES
from gpurig.training.guards import Guards
from gpurig.training.inspection import Node
from gpurig.training.phase import Phase
from gpurig.training.wish import Wish
from gpurig.training.workload import Workload

SECRET = "hush '$(touch x)' \\ \n\"é"


def _node(name: str, address: str, own: tuple[str, ...] = (), transport: str = "ssh") -> Node:
    link = Link(HostSpec.of(name, transport, name, {}))
    node = Node(link, sys.prefix, "ann", {"tensorflow": "2.21.0"}, ("torchrun",), 0, name)
    node.address, node.interface, node.ports = address, "eth0", (4001, 5001)
    node.own = [{"address": one, "interface": f"eth{n}"} for n, one in enumerate(own)]
    return node


def _given(*words: str) -> dict[str, str]:
    given = dict.fromkeys(("env", "processes", "workdir", "out", "baseline"))
    options = {"engine": "torchrun", "workload": "mnist", "variables": words}
    return dict(train.wish(given | options, []).variables)


COMMON: dict[str, tuple[list[list[str]], list[str]]] = {
    "a private network beside the public one": (
        [["198.51.100.1/24", "10.0.0.1/24"], ["198.51.100.2/24", "10.0.0.2/24"]],
        ["10.0.0.1", "10.0.0.2"],
    ),
    "Docker's bridge, the same on each host": (
        [["172.17.0.1/16", "192.168.9.1/24"], ["172.17.0.1/16", "192.168.9.2/24"]],
        ["192.168.9.1", "192.168.9.2"],
    ),
    "only Docker's bridge": ([["172.17.0.1/16"], ["172.17.0.1/16"]], []),
    "one host lacks it": ([["10.0.0.1/24"], ["10.0.0.2/24"], ["10.0.1.3/24"]], []),
    "loopback and what is no network": (
        [["127.0.0.1/8", "10.0.0.1/32"], ["127.0.0.2/8", "10.0.0.1/32"]], [],
    ),
    "link-local and documentation": (
        [["169.254.1.1/16", "192.0.2.1/24"], ["169.254.1.2/16", "192.0.2.2/24"]], [],
    ),
    "a mask in dots": (
        [["10.1.0.1/255.255.0.0"], ["10.1.9.2/255.255.0.0"]], ["10.1.0.1", "10.1.9.2"],
    ),
    "nobody": ([], []),
}  # fmt: skip


@pytest.mark.parametrize(("hosts", "chosen"), COMMON.values(), ids=COMMON)
def test_a_private_network_is_one_that_all_have(hosts: list[list[str]], chosen: list[str]) -> None:
    """The same network, another address on each host."""
    own: list[list[route.Address]] = [
        [{"address": one, "interface": ""} for one in host] for host in hosts
    ]
    assert route.common(own) == chosen


@pytest.mark.parametrize(
    ("addresses", "heard", "used"),
    [
        (("198.51.100.1", "198.51.100.2"), True, ["10.0.0.1", "10.0.0.2"]),
        (("198.51.100.1", "198.51.100.2"), False, ["198.51.100.1", "198.51.100.2"]),
        (("192.168.7.1", "192.168.7.2"), True, ["192.168.7.1", "192.168.7.2"]),
    ],
    ids=["public", "public, and the private one leads nowhere", "private already"],
)
def test_hosts_move_to_private_addresses_that_lead_somewhere(
    addresses: tuple[str, str], heard: bool, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address and interface, and only where they would train over a public one."""
    monkeypatch.setattr(inspection, "_hear_one_another", lambda nodes, addresses: heard)
    nodes = [_node(f"gpu0{n}", one, (f"{one}/24", f"10.0.0.{n}/24"))
             for n, one in enumerate(addresses, 1)]  # fmt: skip
    inspection.keep_private(nodes)
    assert [node.address for node in nodes] == used
    assert {node.interface for node in nodes} == {"eth1" if used[0] == "10.0.0.1" else "eth0"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Node:
    """This machine, whose own Python answers in the place of an environment's."""

    def run(command: str, as_root: bool = True) -> tuple[int, Any]:
        done = subprocess.run(
            shlex.split(re.sub("runuser -u [a-z]+ -- ", "", command)),
            capture_output=True,
            text=True,
        )
        lines = done.stdout.splitlines()
        return done.returncode, SimpleNamespace(
            stdout=done.stdout, stdout_lines=lines, output_lines=lines + done.stderr.splitlines()
        )

    node = _node("gpu01", "")
    node.environment = sys.prefix
    monkeypatch.setattr(node.link, "run", run)
    return node


def test_a_host_that_ssh_reaches_by_ipv6_trains_by_ipv4(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the address with which it reaches others; without one it is one sentence."""
    monkeypatch.setenv("SSH_CONNECTION", "2001:db8::1 50000 2001:db8::5 22")
    asked = here.link.run
    said = "2001:db8::1 50000 2001:db8::5 22\n"
    monkeypatch.setattr(
        here.link,
        "run",
        lambda command, **more: (
            (0, SimpleNamespace(stdout=said)) if command.startswith("echo") else asked(command)
        ),
    )
    monkeypatch.setattr(inspection, "_ELSEWHERE", "127.0.0.9")
    assert inspection.reached_at(here) == "127.0.0.1"
    monkeypatch.setattr(inspection, "_ELSEWHERE", "255.255.255.255")  # connect(2) refuses it
    with pytest.raises(HostError, match="trains over IPv4, and this host has no way"):
        inspection.reached_at(here)


@pytest.mark.parametrize(
    ("wheel", "code", "raises"),
    [
        ("nvidia_cuda_runtime-13", 18, True),
        ("nvidia_cuda_runtime-13", 0, False),
        ("x-1", 18, False),
    ],
    ids=["broken", "whole", "an environment for the CPU"],
)
def test_a_driver_that_is_broken_ends_a_training_on_gpus(
    here: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: str, code: int, raises: bool
) -> None:
    """On the CPU it would take days, and count as a success."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho 'Driver/library version mismatch'\nexit {code}\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    about = tmp_path / f"{wheel}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: {wheel.partition('-')[0].replace('_', '-')}\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{inspection._HAS}"
    monkeypatch.setattr(inspection, "_HAS", script)
    asked = here.link.run
    monkeypatch.setattr(
        here.link,
        "run",
        lambda command, **more: (
            (0, None)
            if command.startswith(("id ", "test "))
            else asked(command.replace("/opt/gpurig/venvs/x", sys.prefix))
        ),
    )
    if raises:
        with pytest.raises(HostError, match=r"nvidia-smi fails .Driver/library version mismatch"):
            inspection.survey(here.link, "x")
    else:
        assert inspection.survey(here.link, "x").gpus == 0


@pytest.mark.lab  # as root, as whom gpurig asks hosts
def test_whether_hosts_hear_one_another_is_tried() -> None:
    """A real listener and a real connection; an address that is nobody's is not heard."""
    prepare_engine()
    nodes = [_node("a", "", transport="local"), _node("b", "", transport="local")]
    for node in nodes:
        node.link.open()
    assert inspection._hear_one_another(nodes, ["127.0.0.1", "127.0.0.2"])
    assert not inspection._hear_one_another(nodes, ["192.0.2.1", "127.0.0.2"])
    for node in nodes:
        node.link.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_listens_is_said(engine: str) -> None:
    """The engine's own name for it, that it asks for nothing, as whom; and what is public."""
    nodes = [_node("gpu01", "10.0.0.1"), _node("gpu02", "8.8.8.8")]
    said = engines.exposed(engine, nodes)
    assert engines.LISTENERS[engine] in said
    assert "without a password" in said
    assert "as ann" in said
    assert "(public: 8.8.8.8)" in said
    assert "public" not in engines.exposed(engine, nodes[:1])


class _Recorded:
    """A guard that notes what it is told to run."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], dict[str, str]]] = []

    def run(self, words: list[str], environment: dict[str, str], folder: str) -> int:
        self.told.append((list(words), dict(environment)))
        return 1


def _phase(nodes: list[Node], wish: Wish, guard: Any) -> Phase:
    """One that has a single guard for all hosts, and no screen."""
    guards = Guards(nodes)
    guards.hosts = {node.name: guard for node in nodes}
    screen: Any = None
    return Phase(guards, wish, screen)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_x_gives_stands_in_no_command_line_and_no_log(
    engine: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of every engine, also what horovodrun asks for on other hosts."""
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.DEBUG)
    nodes = [_node("gpu01", "10.0.0.1"), _node("gpu02", "10.0.0.2")]
    wish = Wish(engine, "x", Workload("a.py", {}), variables={"TOKEN": SECRET})
    guard: Any = _Recorded()
    phase = _phase(nodes, wish, guard)
    commands = [*engines.commands(engine, nodes, ["a.py"], "id", "/x"),
                engines.alone(engine, nodes[0], ["a.py"], "/x")]  # fmt: skip
    for command, node in zip(commands, [*nodes, nodes[0]], strict=True):
        if command:
            phase._start(node.name, command)
    guard.name = "gpu01"
    asked = {"ask": 1, "host": "10.0.0.2", "command": "cd /x; SECRET_KEY=1 sh rank"}
    if engine == "horovod":
        phase._ask(guard, asked)
    for words, environment in guard.told:
        assert SECRET not in " ".join(words)
        assert ("TOKEN" in environment) == (engine != "horovod"), "horovodrun would show it"
    assert "hush" not in caplog.text
    assert "SECRET_KEY" not in caplog.text


def test_a_rank_of_horovod_has_what_x_gives(tmp_path: Path) -> None:
    """Byte for byte, and in no command line of the processes that start it."""
    node = _node("gpu01", "10.0.0.1")
    script = engines.rank_script("horovod", node, 0, {"TOKEN": SECRET})
    (tmp_path / "rank").write_text(script)
    program = (
        "import os, pathlib; print(repr(os.environ['TOKEN']));"
        " print('tou' + 'ch' in pathlib.Path('/proc/self/cmdline').read_text())"
    )
    done = subprocess.run(
        ["sh", str(tmp_path / "rank"), "-c", program],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [repr(SECRET), "False"]
    assert not (tmp_path / "x").exists()


def test_only_the_host_of_horovodrun_may_ask_for_commands() -> None:
    """A host of another engine, or another host, gets nothing run elsewhere."""
    for engine, name, allowed in (("torchrun", "gpu01", False), ("horovod", "gpu02", False),
                                  ("horovod", "gpu01", True)):  # fmt: skip
        nodes = [_node("gpu01", "10.0.0.1"), _node("gpu02", "10.0.0.2")]
        guard: Any = _Recorded()
        guard.name, guard.answered = name, []
        guard.answer = lambda ask, code, to=guard.answered: to.append(code)
        phase = _phase(nodes, Wish(engine, "x", Workload("a.py", {})), guard)
        phase._ask(guard, {"ask": 1, "host": "10.0.0.2", "command": "id"})
        assert bool(guard.told) is allowed
        assert guard.answered == ([] if allowed else [255])


def test_a_variable_may_come_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a secret need not stand in gpurig's own command line either."""
    monkeypatch.setenv("TOKEN", SECRET)
    assert _given("TOKEN", "A=b=c", "EMPTY=") == {"TOKEN": SECRET, "A": "b=c", "EMPTY": ""}


@pytest.mark.parametrize("word", ["1TOKEN=hush", "TO KEN=hush", "=hush", "TÖKEN=hush", "NOT_SET"])
def test_a_wrong_variable_does_not_repeat_its_value(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, which may be seen by others."""
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(InputError) as error:
        _given(word)
    assert "hush" not in str(error.value)
    assert "-x" in str(error.value)
