"""
One host's proofs as a program: the host on standard input, a JSON line for each proof.

``gpurig.engine.proving`` starts it, since pytest wants a process of its own.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()  # before anything opens a socket

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402
from gevent.os import make_nonblocking, nb_read  # noqa: E402

from gpurig.engine.runner import Link, prepare_engine  # noqa: E402
from gpurig.hosts.inventory import HostSpec  # noqa: E402
from gpurig.proofs.plugin import Proving  # noqa: E402

HERE = Path(__file__).parent


def _end_with_parent() -> None:
    """Its end of the pipe is open for as long as it lives; what runs on the host ends with us."""
    make_nonblocking(sys.stdin.fileno())
    while nb_read(sys.stdin.fileno(), 1 << 16):
        pass
    os._exit(1)


def main() -> int:
    """Run the proofs; the exit code is pytest's."""
    given = json.loads(sys.stdin.readline())
    gevent.spawn(_end_with_parent)
    # A descriptor of our own: pytest takes 1 and 2 while a proof runs, and its words are the log's.
    out, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr

    def tell(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=out, flush=True)

    prepare_engine()
    spec = HostSpec.of(given["name"], given["transport"], given["address"], given["data"])
    # Programs say on standard error what is for people; their answers are nobody's progress.
    link = Link(spec, on_line=lambda line: tell({"line": line}), streams=("stderr",))
    link.open()
    try:
        plugin = Proving(
            link,
            given["stack"],
            given["facts"],
            given["deferred"],
            given["locks"],
            on_proof=lambda proof: tell({"proof": asdict(proof)}),
            on_begin=lambda title, number, of: tell({"begins": title, "number": number, "of": of}),
        )
        # The proofs have a configuration of their own wherever they are installed.
        arguments = [str(HERE), "-c", str(HERE / "pytest.ini"), "-q"]
        # testinfra's own plugin would offer this machine as the host.
        arguments += ["-p", "no:cacheprovider", "-p", "no:pytest11.testinfra"]
        return int(pytest.main(arguments, plugins=[plugin]))
    finally:
        link.close()
