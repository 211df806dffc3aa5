"""Three booted hosts that train together, and how a training on them is judged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab import machine, wheels
from lab.hosts import Host
from lab.lab import Lab
from system.person import SECONDS, Answer, Person

TORCH = "2.13.0"  # of which a wheel without CUDA may be beside the indexes: 200 MB instead of 6 GB

# Three hosts share the cores of one machine: no threads that wait for one another, and few steps.
QUICK = ("-x", "OMP_NUM_THREADS=1", "-x", "TF_NUM_INTRAOP_THREADS=1")
SHORT = ("--", "--batch-size", "256", "--threshold", "0.9")


@dataclass
class Three:
    """
    Three hosts that are alike.

    + up: what `up` answered on the one that the three are copies of
    """

    hosts: list[Host]
    inventory: Path
    person: Person
    up: Answer

    @property
    def names(self) -> list[str]:
        """The names of the three."""
        return [host.name for host in self.hosts]


def three(
    boot: Callable[..., Host],
    lab: Lab,
    person: Person,
    suite: str,
    name: str,
    prove: str = "auto",
    **data: Any,
) -> Three:
    """
    What one `up` makes of a bare host, three times.

    + name: of the first, and with numbers of the three; data: of their inventory
    + prove: as of ``up --prove``
    """
    first = boot(suite, name)
    inventory = person.inventory({name: first.ssh_data()}, **data)
    up = person.gpurig("up", inventory, "--json", "--prove", prove)
    assert up.code in (0, 4), up.problems
    if name in lab.snapshots():  # of tests that were killed
        lab.forget(name)
    lab.save(first.name, name)
    try:
        lab.remove(first.name)
        hosts = [boot("", f"{name}{number}", snapshot=name) for number in (1, 2, 3)]
    finally:
        lab.forget(name)
    inventory = person.inventory({host.name: host.ssh_data() for host in hosts}, **data)
    return Three(hosts, inventory, person, up)


@contextmanager
def torch_for_cpu(folder: Path) -> Iterator[dict[str, dict[str, str]]]:
    """
    An index of that wheel, as rig_repositories has it; empty where there is no such wheel.

    + folder: an empty one
    """
    cpu = wheels.found(f"torch-{TORCH}+cpu-cp311-*.whl")
    with wheels.served(folder, "cpu/torch", cpu) as index:
        yield {"pytorch": {"url": index}} if cpu else {}


def left(hosts: list[Host]) -> str:
    """What a training left on hosts: processes of the user, guards, folders."""
    return "".join(
        host.run(
            "ps -eo user:20,args | grep -E '^gpurig|[h]orovod|[t]orchrun|[g]uard' || :;"
            " find /tmp /var/tmp -maxdepth 1 -name 'gpurig-*'"
        ).stdout
        for host in hosts
    )


def keys(hosts: list[Host]) -> list[str]:
    """What SSH is allowed and knows, of every user."""
    sums = "find /root /home /etc/ssh -type f -path '*ssh*' -exec sha256sum {} +"
    return [host.run(sums).stdout for host in hosts]


def learn_together(three: Three, engine: str, count: int, words: tuple[str, ...]) -> None:
    """MNIST is learnt, the weights of all ranks are the same, and nothing is left or touched."""
    before, names = keys(three.hosts), three.names[:count]
    answer = three.person.gpurig("train", "--engine", engine, "--limit", ",".join(names), "--json",
                                 *words, *QUICK, three.inventory, *SHORT)  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    told = answer.json["training"]
    result = told["result"]
    assert result["passed"]
    assert result["data"]["train"] == 60000
    assert (three.person.home / told["results"]["folder"] / "out/prediction.png").exists()
    assert sorted(rank["host"] for rank in result["ranks"]) == names
    assert len({rank["weights_sha256"] for rank in result["ranks"]}) == 1
    if not words:
        assert told["one_process"]["world_size"] == 1
        assert told["speed_up"] > 0
    assert not left(three.hosts)
    assert keys(three.hosts) == before


class Started:
    """A training that goes on until something happens to it."""

    def __init__(self, three: Three, engine: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")}
        home = three.person.home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpurig.cli.main", "train", "--engine", engine, "--no-baseline",
             *QUICK, three.inventory, "--", "--epochs", "500"],
            cwd=home, env=environment | {"HOME": str(home)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        out: IO[str] | None = self.process.stdout
        assert out
        seen = []
        for line in out:
            seen.append(line)
            if "accuracy" in line:  # it has learnt from some images
                return
        raise AssertionError("".join(seen))

    def ended(self) -> Answer:
        """How it ended."""
        out, err = self.process.communicate(timeout=SECONDS)
        return Answer(self.process.returncode, out, err)


def a_host_dies(three: Three, engine: str) -> None:
    """Killed in the middle: it is named, exit 1, and nothing is left on the others."""
    one, two, other = three.hosts
    training = Started(three, engine)
    machine.kill(two.name)
    answer = training.ended()
    assert answer.code == 1, answer.out + answer.err
    (error,) = [line for line in answer.out.splitlines() if line.startswith("  error: ")]
    assert error.startswith(f"  error: {two.name}: the connection to the host broke"), error
    assert not left([one, other])
    two.start()
