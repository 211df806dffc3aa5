"""
Running the proofs against one host: pytest with testinfra, in a process of its own.

The parent hands the host over on standard input (it may hold passwords) and reads one JSON line a
proof; when that input ends, the child does. The child (``gpurig.proofs.__main__``) opens its own
connection and shares nothing else with what changed the host.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from tempfile import TemporaryFile

import gevent
from gevent.os import nb_read
from gevent.subprocess import PIPE, Popen
from pyinfra import logger

from gpurig.contract.limits import MB, Limits
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.errors import InternalError
from gpurig.hosts.answer import PIECE, Flooded
from gpurig.hosts.exchange import LineRoom, lines
from gpurig.hosts.inventory import HostSpec
from gpurig.stack.model import Stack
from gpurig.wheels import locks

LATER = 60  # seconds that the child has for telling what its own bound ended

# As `-m` would, but that the working folder is not where modules are looked for first. (-P does
# the same from Python 3.11 on; -I would also lose a gpurig that `pip --user` installed.)
_CHILD = (
    "import sys; sys.path[:] = filter(None, sys.path);"
    " from gpurig.proofs.__main__ import main; sys.exit(main())"
)


def prove(
    spec: HostSpec,
    result: HostResult,
    deferred: str,
    on_proof: Callable[[Proof], None],
    on_line: Callable[[str], None],
    on_begin: Callable[[str, int, int], None] = lambda title, number, of: None,
) -> list[Proof]:
    """
    Run every proof of the host's stack; each is also told to `on_proof` as it ends.

    + deferred: why no training program is run, or empty
    + on_begin: is told a proof's title as it begins, and the how-manieth of how many it is
    """
    assert isinstance(result.answer, Stack)
    given = {
        "name": spec.name,
        "transport": spec.transport,
        "address": spec.address,
        "data": dict(spec.data),
        "stack": result.answer.as_json(),
        "facts": result.as_json()["facts"],
        "deferred": deferred,
        "locks": _locks(spec, result.answer),
    }
    command = [sys.executable, "-c", _CHILD]
    proofs = []
    # A file takes any number of words of pytest's; a pipe that nobody reads meanwhile would fill.
    with TemporaryFile() as words:
        # In a session of its own, so that Ctrl-C asks the parent alone.
        child = Popen(command, stdin=PIPE, stdout=PIPE, stderr=words, start_new_session=True)
        try:
            child.stdin.write(json.dumps(given, default=str).encode() + b"\n")
            child.stdin.flush()
            for line in _lines(spec, child.stdout.fileno()):
                told = json.loads(line)
                if "line" in told:
                    on_line(told["line"])
                    continue
                if "begins" in told:
                    on_begin(told["begins"], told["number"], told["of"])
                    continue
                verdict = ProofVerdict(told["proof"]["verdict"])
                proof = Proof(**(told["proof"] | {"verdict": verdict}))
                proofs.append(proof)
                on_proof(proof)
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
            child.stdin.close()
            child.stdout.close()
        words.seek(-min(words.seek(0, os.SEEK_END), MB), os.SEEK_END)
        said = words.read().decode("utf-8", "replace")
    logger.debug("%s: proofs: %s", spec.name, said)
    if code not in (0, 1):  # pytest: all passed, some failed; all else is our own fault
        lines = said.strip().splitlines() or ["no output"]
        raise InternalError("proofs", f"the proofs could not run ({lines[-1]})", spec.name)
    return proofs


def _lines(spec: HostSpec, descriptor: int) -> Iterator[str]:
    """What the child says. Its own bounds on the host are as long, and come first."""
    limits = Limits(**spec.settings.limits)
    late = limits.silent(spec.name, "command", "proving the host")

    def read() -> bytes:
        with gevent.Timeout(limits.command + LATER, late):
            return bytes(nb_read(descriptor, PIECE))

    try:
        yield from lines(read, LineRoom(limits.answer * MB))
    except Flooded as error:
        raise limits.flooded(spec.name) from error


def _locks(spec: HostSpec, stack: Stack) -> dict[str, dict[str, str]]:
    """By environment, what its lock pins: the lock itself lies on the control machine."""
    index = spec.settings.pypi_index
    return {
        one.name: locks.pins(locks.find(one, stack.architecture, index).text)
        for one in stack.environments
    }
