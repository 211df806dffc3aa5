"""How each engine is called on each host; pure: what is run is decided here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import join, quote

from gpurig.errors import InputError
from gpurig.training import route
from gpurig.training.engine_names import DEFAULT_ENVIRONMENT
from gpurig.training.inspection import Node
from gpurig.training.wish import WORK

_NEEDS = {"torchrun": "torchrun", "horovod": "horovodrun", "multiworker": "tensorflow"}
# What each engine opens that is bound to no address and lets in whoever asks: c10d's TCPStore, the
# rendezvous server of horovodrun, and the gRPC server of every worker. gloo and NCCL are bound to
# the interface that `surroundings` names.
LISTENERS = {
    "torchrun": "torchrun's rendezvous",
    "horovod": "horovodrun's rendezvous",
    "multiworker": "TensorFlow's gRPC server",
}


@dataclass(frozen=True)
class Command:
    """
    What a host starts.

    + environment: beside the one that every command gets
    + shown: whether it writes its environment into command lines, which everybody on a host reads
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    shown: bool = False


def refuse_unfit(engine: str, environment: str, nodes: Sequence[Node]) -> None:
    """InputError where a host's environment is not what the engine needs, or unlike the others."""
    for node in nodes:
        if _NEEDS[engine] not in (*node.tools, *node.versions):
            right = DEFAULT_ENVIRONMENT[engine]
            what = f"the environment {environment} has no {_NEEDS[engine]}"
            do = f"use --env {right}, which has it"
            if environment == right:
                do = f"run `gpurig up` to repair it, or add {right} to rig_frameworks"
            raise InputError("training-missing", what, node.name, do, host=node.name)
    first, *others = nodes
    for node in others:
        for name, version in first.versions.items():
            if node.versions.get(name) != version:
                what = f"{name} is {node.versions.get(name, 'missing')}, but {version} on"
                raise InputError(
                    "training-unlike", f"{what} {first.name}", node.name,
                    "give all hosts the same version (rig_frameworks)", host=node.name,
                )  # fmt: skip


def backend(engine: str, node: Node) -> str:
    """What Keras computes with in this environment."""
    if engine == "multiworker" or (engine == "horovod" and "tensorflow" in node.versions):
        return "tensorflow"
    return "torch"


def surroundings(engine: str, node: Node, folder: str) -> dict[str, str]:
    """The environment that every command of a training gets, and no other variable."""
    given = {
        "HOME": f"{folder}/home",
        "TMPDIR": f"{folder}/tmp",
        "MPLCONFIGDIR": f"{folder}/home",
        "PATH": f"{folder}/bin:{node.environment}/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "KERAS_BACKEND": backend(engine, node),
    }
    if node.interface:
        given |= {"GLOO_SOCKET_IFNAME": node.interface, "NCCL_SOCKET_IFNAME": node.interface}
    return given


def commands(
    engine: str, nodes: Sequence[Node], program: Sequence[str], run_id: str, folder: str
) -> list[Command | None]:
    """
    What each host starts; None for a host that the engine itself reaches.

    + program: the file and its arguments
    + run_id: random; by it the agents of one run know one another
    + folder: the private one, in which `rank_script` is ``rank``
    """
    words = ["sh", f"{folder}/rank", *program]
    if engine == "torchrun":
        return [_torchrun(nodes, index, words, run_id) for index in range(len(nodes))]
    if engine == "multiworker":
        return [_multiworker(nodes, index, words) for index in range(len(nodes))]
    return [_horovod(nodes, words), *(None for _ in nodes[1:])]


def alone(engine: str, node: Node, program: Sequence[str], folder: str) -> Command:
    """One process on one host, started as this engine starts it."""
    words = ["sh", f"{folder}/rank", *program]
    if engine == "torchrun":
        start = ["--standalone", "--nproc-per-node=1", "--local-addr=127.0.0.1", "--no-python"]
        return Command([f"{node.environment}/bin/torchrun", *start, *words], {})
    # Where all is on one host, horovodrun looks for nothing but 127.0.0.1.
    one = replace(node, processes=1, address="127.0.0.1", interface="lo")
    return _multiworker([one], 0, words) if engine == "multiworker" else _horovod([one], words)


def _torchrun(nodes: Sequence[Node], index: int, program: Sequence[str], run_id: str) -> Command:
    node = nodes[index]
    words = [
        f"{node.environment}/bin/torchrun",
        f"--nnodes={len(nodes)}",
        f"--nproc-per-node={node.processes}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={nodes[0].address}:{nodes[0].ports[0]}",
        f"--rdzv-id={run_id}",
        # torchrun finds out by names who is the first one; hosts may not know their own.
        f"--rdzv-conf=is_host={int(index == 0)}",
        f"--local-addr={node.address}",
        "--no-python",
        *program,
    ]
    return Command(words, {"OMP_NUM_THREADS": "1"} if node.processes > 1 else {})


def _multiworker(nodes: Sequence[Node], index: int, program: Sequence[str]) -> Command:
    cluster = {"worker": [f"{node.address}:{node.ports[0]}" for node in nodes]}
    task = {"type": "worker", "index": index}
    told = json.dumps({"cluster": cluster, "task": task})
    return Command(program, {"TF_CONFIG": told})


def _horovod(nodes: Sequence[Node], program: Sequence[str]) -> Command:
    first = nodes[0]
    words = [
        f"{first.environment}/bin/horovodrun",
        "-np", str(sum(node.processes for node in nodes)),
        "-H", ",".join(f"{node.address}:{node.processes}" for node in nodes),
        "--gloo", "--disable-cache",
        # Hosts are not equally fast, and one that is gone is found otherwise. Its default is 30.
        "--gloo-timeout-seconds", "600",
        *(("--network-interfaces", first.interface) if first.interface else ()),
        *program,
    ]  # fmt: skip
    return Command(words, {}, shown=True)


def exposed(engine: str, nodes: Sequence[Node]) -> str:
    """What a person must know of the ports that an engine opens, in one sentence."""
    public = [node.address for node in nodes if not route.is_private(node.address)]
    at = f" (public: {', '.join(public)})" if public else ""
    return (
        f"during the training, {LISTENERS[engine]} listens on every"
        f" address of the hosts{at}, without a password: every"
        " machine that reaches them can run programs there as"
        f" {nodes[0].user}"
    )


def hosts_lines(nodes: Sequence[Node]) -> str:
    """
    For /etc/hosts: every host's own name at the address by which the others reach it.

    gloo looks up a host's own name in Horovod 0.28.1 whatever interface is named (gloo_context.cc,
    InitializeForProcessSet), and on Debian that is 127.0.1.1, where no other host finds it.
    """
    return "".join(f"{node.address} {node.hostname}\n" for node in nodes)


def rank_script(engine: str, node: Node, index: int, variables: Mapping[str, str]) -> str:
    """
    What an engine starts on a host for each rank: the environment's Python with the program.

    Only rank 0 keeps its standard output, so what comes there is its own, however many ranks share
    a pipe; the others' lines come on standard error. It leaves ``first`` in the private folder, by
    which its host is known: torchrun gives ranks by addresses.

    + index: the host's among all, which is its rank where the engine gives none
    + variables: of the user's, with Horovod. horovodrun would write what it has in its own
      environment into the command lines of all hosts; here they stand in a file that only the user
      reads.
    """
    given: dict[str, str] = {}
    if engine == "horovod":
        given |= variables
        if node.interface:
            given |= {"HOROVOD_GLOO_IFACE": node.interface, "NCCL_SOCKET_IFNAME": node.interface}
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in given.items())
    return (
        f"{exports}"
        'export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"\n'
        f'if [ "${{RANK:-${{HOROVOD_RANK:-{index}}}}}" = 0 ]; then\n'
        f'  [ "${{PWD##*/}}" != {WORK} ] || : >"${{0%/*}}/first"\n'
        "else exec >&2; fi\n"
        f'exec {quote(node.python)} "$@"\n'
    )


def ssh_script(node: Node, folder: str) -> str:
    """What horovodrun finds as ssh."""
    return f'#!/bin/sh\nexec {join([node.python, "-I", f"{folder}/relay.py"])} "$@"\n'
