"""What a host has for a training: user, environment, GPUs, and the way to the other hosts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar

import gevent

from gpurig.contract.limits import MB
from gpurig.contract.shape import fits
from gpurig.engine.runner import Link
from gpurig.errors import HostError, InputError
from gpurig.hosts.answer import Flooded
from gpurig.hosts.exchange import BROKEN, Room, lines
from gpurig.training import route

FRAMEWORKS = ("horovod", "tensorflow", "torch")

# Run with the environment's own Python as the user whom workloads are run as.
_HAS = """
import importlib.metadata, json, os, socket, subprocess, sys
names = {(d.metadata["Name"] or "").lower(): d.version for d in importlib.metadata.distributions()}
listed, broken = "", ""
try:
    asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
except OSError:
    pass
else:
    listed = asked.stdout
    if asked.returncode:
        said = (asked.stderr + listed).strip().splitlines() or ["exit %d" % asked.returncode]
        broken = said[-1]
tools = os.listdir(os.path.dirname(sys.executable))
print(json.dumps({
    "versions": {name: names[name] for name in sys.argv[1:] if name in names},
    "tools": [name for name in ("torchrun", "horovodrun") if name in tools],
    "gpus": sum(line.startswith("GPU ") for line in listed.splitlines()),
    "broken": broken,
    "cuda": any(name.startswith("nvidia-cuda-runtime") for name in names),
    "hostname": socket.gethostname(),
}))
"""

# From which address and interface a host reaches another one, and ports that are free there.
_WAY = """
import fcntl, json, socket, struct, sys
peer, ports = sys.argv[1], int(sys.argv[2])
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address, interface, own = "", "", []
try:
    asking.connect((peer, 9))  # nothing is sent: the kernel only chooses the way
    address = asking.getsockname()[0]
except OSError:
    ports = 0
for _, name in socket.if_nameindex():
    asked = struct.pack("256s", name.encode())
    try:
        found = fcntl.ioctl(asking, 0x8915, asked)  # SIOCGIFADDR
        mask = fcntl.ioctl(asking, 0x891B, asked)  # SIOCGIFNETMASK
    except OSError:
        continue
    here = socket.inet_ntoa(found[20:24])
    own.append({"address": f"{here}/{socket.inet_ntoa(mask[20:24])}", "interface": name})
    if here == address:
        interface = name
taken = [socket.socket() for _ in range(ports)]
for one in taken:
    one.bind((address, 0))
print(json.dumps({"address": address, "interface": interface, "own": own,
                  "ports": [one.getsockname()[1] for one in taken]}))
"""


class _Has(TypedDict):
    """What `_HAS` prints."""

    versions: dict[str, str]
    tools: list[str]
    gpus: int
    broken: str
    cuda: bool
    hostname: str


class _Way(TypedDict):
    """What `_WAY` prints."""

    address: str
    interface: str
    ports: list[int]
    own: list[route.Address]


T = TypeVar("T", _Has, _Way)


# Whether another host is heard at an address of this one's, and then what it says.
_HEAR = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listening:
    print("listening", flush=True)
    listening.settimeout(5)
    for _ in range(int(sys.argv[3])):
        listening.accept()[0].close()
print("heard", flush=True)
"""
_SPEAK = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 4, (sys.argv[3], 0)).close()
"""


@dataclass
class Node:
    """
    One host of a training.

    + environment: its folder there; user: who trains
    + versions: of `FRAMEWORKS`, as far as they are in it; tools: launchers in its ``bin``
    + gpus: those that the environment can compute on; hostname: its own name
    + address, interface, ports: by which the other hosts reach it; own: all its addresses
    + processes: how many it is to run
    """

    link: Link
    environment: str
    user: str
    versions: Mapping[str, str]
    tools: tuple[str, ...]
    gpus: int
    hostname: str
    address: str = ""
    interface: str = ""
    ports: tuple[int, ...] = ()
    own: Sequence[route.Address] = ()
    processes: int = 1
    files: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.link.spec.name

    @property
    def python(self) -> str:
        return f"{self.environment}/bin/python"


def survey(link: Link, environment: str) -> Node:
    """What the host has; InputError where the environment or the user is not there."""
    settings, name = link.spec.settings, link.spec.name
    user = settings.users[0] if settings.users else "gpurig"
    folder = f"{settings.venv_root}/{environment}"
    code, _ = link.run(f"id -u {shlex.quote(user)}")
    if code:
        what = f"the host has no user {user}, who runs the workloads"
        raise _missing(name, what, "run `gpurig up` on the host first")
    code, _ = link.run(f"test -x {shlex.quote(folder)}/bin/python")
    if code:
        what = f"the host has no environment {environment} ({folder})"
        raise _missing(name, what, f"add {environment} to rig_frameworks, and run `gpurig up`")
    said = _asked(link, user, folder, _Has, _HAS, *FRAMEWORKS)
    if said["cuda"] and said["broken"] and not settings.assume_gpu:
        raise HostError(
            "training-unready",
            f"nvidia-smi fails ({said['broken']}), and {environment} would compute without GPUs",
            name, "run `gpurig verify` to see why", host=name,
        )  # fmt: skip
    gpus = said["gpus"] if said["cuda"] else 0
    return Node(link, folder, user, said["versions"], tuple(said["tools"]), gpus, said["hostname"])


def find_way(node: Node, peer: str, ports: int = 2) -> None:
    """
    How other hosts reach the node: its side of the way to `peer`, and free ports there.

    + peer: an IPv4 address; HostError where no way leads there
    """
    said = _asked(node.link, node.user, node.environment, _Way, _WAY, peer, str(ports))
    if not said["address"]:
        what = "gpurig trains over IPv4, and this host has no way to the others by it"
        do = "give it an IPv4 address that they reach"
        raise HostError("training-unready", what, node.name, do, host=node.name)
    node.address, node.interface = said["address"], said["interface"]
    node.ports, node.own = tuple(said["ports"]), said["own"]


def keep_private(nodes: Sequence[Node]) -> None:
    """Move all hosts to private addresses of theirs, where one leads over a public one."""
    if all(route.is_private(node.address) for node in nodes):
        return
    addresses = route.common([node.own for node in nodes])
    if not addresses or not _hear_one_another(nodes, addresses):
        return
    for node, address in zip(nodes, addresses, strict=True):
        node.address = address
        for own in node.own:
            if own["address"].split("/")[0] == address:
                node.interface = own["interface"]


def _hear_one_another(nodes: Sequence[Node], addresses: Sequence[str]) -> bool:
    """Whether the first host is reached from all others at these addresses."""
    (first, *others), (there, *theirs) = nodes, addresses
    port = str(first.ports[-1])
    words = [first.python, "-I", "-c", _HEAR, there, port, str(len(others))]
    hearing = first.link.begin(f"exec {shlex.join(words)}")
    try:
        with gevent.Timeout(20, False), suppress(*BROKEN, Flooded):
            said = lines(hearing.out, Room(MB))
            if next(said, "") != "listening":
                return False
            for node, own in zip(others, theirs, strict=True):
                words = [node.python, "-I", "-c", _SPEAK, there, port, own]
                if node.link.run(shlex.join(words))[0]:
                    return False
            return next(said, "") == "heard"
        return False
    finally:
        with gevent.Timeout(5, False), suppress(*BROKEN):
            hearing.close()


# An address that is nobody's (RFC 5737): the way there is that of all that a host does not know.
_ELSEWHERE = "192.0.2.1"


def reached_at(node: Node) -> str:
    """
    The IPv4 address at which the host was reached, as it sees that itself; empty for this machine.

    Where that was by IPv6, it is the one by which the host reaches others.
    """
    _, output = node.link.run("echo $SSH_CONNECTION", as_root=False)
    reached = (output.stdout.split() or [""] * 3)[2] if output.stdout.strip() else ""
    reached = reached.removeprefix("::ffff:")
    if ":" in reached:
        find_way(node, _ELSEWHERE)
        return node.address
    return reached


def _asked(link: Link, user: str, folder: str, shape: type[T], script: str, *words: str) -> T:
    command = ["runuser", "-u", user, "--", f"{folder}/bin/python", "-I", "-c", script, *words]
    code, output = link.run(shlex.join(command))
    if code or not output.stdout_lines:
        said = (output.output_lines or ["no output"])[-1]
        raise HostError(
            "training-unready", f"{folder}/bin/python does not work ({said})", link.spec.name,
            "run `gpurig up` to repair it", host=link.spec.name,
        )  # fmt: skip
    try:
        told = json.loads(output.stdout_lines[-1])
    except (ValueError, RecursionError):
        told = None
    if not fits(told, shape):
        raise HostError(
            "training-unready",
            f"{folder}/bin/python prints {output.stdout_lines[-1][:60]!r} instead of its packages",
            link.spec.name,
            "run `gpurig up` to repair it",
            host=link.spec.name,
        )
    answer: T = told
    return answer


def _missing(host: str, what: str, do: str) -> InputError:
    return InputError("training-missing", what, host, do, host=host)
