"""What `train` takes: its own options, and beside them the words of other launchers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gpurig.training.engine_names import ENGINES

# Of them, in this order, `train.Given` is made.
OPTIONS = (
    click.option("--engine", type=click.Choice(ENGINES), required=True,
                 help="What starts the program on the hosts."),
    click.option("--workload", default="mnist", metavar="mnist|FILE",
                 help="What to train: mnist (default), or a Python program, with the files"
                      " beside it."),
    click.option("--workdir", metavar="FOLDER",
                 help="Send this folder, and run the program in it; default: the program's own"
                      " folder."),
    click.option("--out", metavar="FOLDER",
                 help="Put the results here; default: gpurig-train/TIME."),
    click.option("--env", metavar="NAME",
                 help="The environment; default: the one that has the engine."),
    click.option("--processes-per-host", "--nproc-per-node", "processes",
                 metavar="N",
                 help="Processes on each host; default: one for each GPU, else one."),
    click.option("-np", "--num-proc", "total", type=click.IntRange(1), metavar="N",
                 help="Processes on all hosts together."),
    click.option("-H", "--hosts", "slots", metavar="HOST[:N],…",
                 help="Train on these hosts, with N processes each."),
    click.option("--nnodes", metavar="N", help="Train on the first N hosts."),
    click.option("--baseline", "baseline", flag_value="yes", default=None,
                 help="Train with one process first, to compare; default: only with mnist."),
    click.option("--no-baseline", "baseline", flag_value="no",
                 help="Do not train with one process first."),
    click.option("-x", "variables", multiple=True, metavar="NAME[=VALUE]",
                 help="A variable for the program; without a value: the one set"
                      " here; can be repeated."),
)  # fmt: skip


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with all of them."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
