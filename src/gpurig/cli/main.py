"""
The command line: what each verb takes; what it does is imported when it is called.

So that `--help` and `--version` take no time, nothing here imports pyinfra or what drives it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from gpurig import __version__
from gpurig.cli import about, candidates, options, train_options
from gpurig.cli.ending import ended
from gpurig.cli.usage import Verbs, WithProgram
from gpurig.errors import InputError
from gpurig.hosts import greenlets
from gpurig.hosts.target import joined
from gpurig.report.shown import prepare_output
from gpurig.report.streams import prepare_streams
from gpurig.settings.options import LAYERS, Options

Command = Callable[..., None]

EPILOG = """\b
Examples:
  gpurig up                         set up this machine
  gpurig plan gpu01 ada@gpu02       what would change on two hosts
  gpurig up lab.py --limit gpu01    one host of an inventory

\b
Exit codes:
  0  OK
  1  something failed, could not be reached, or is unknown
  2  nothing could be done
  3  there is something to do (plan)
  4  OK, but something needs you or is not proven yet
"""

_SET = click.option("--set", "wishes", multiple=True, metavar="rig_KEY=VALUE",
                    shell_complete=candidates.settings,
                    help="Set a setting for all hosts; can be repeated.")  # fmt: skip
_PREFETCH = click.option("--no-prefetch", "prefetch", is_flag=True, default=True, flag_value=False,
                         help="Read facts one by one (same plan, slower).")  # fmt: skip


def _joined(context: click.Context, _: click.Parameter, words: tuple[str, ...]) -> str | None:
    # A Tab's words may be wrong, and only an inventory's name is of use to it.
    return next(iter(words), None) if context.resilient_parsing else joined(words)


def _target(function: Command) -> Command:
    """The argument of every verb on hosts, and the options that come last in its help."""
    for decorate in reversed((
        click.argument("target", nargs=-1, metavar="[INVENTORY|@local|HOST…]", callback=_joined,
                       shell_complete=candidates.targets),
        click.option("--limit", metavar="HOST,…", shell_complete=candidates.limits,
                     help="Work on these hosts or groups only."),
        _SET,
        options.JSON,
        options.QUIET,
        options.VERBOSE,
        click.option("--debug", is_flag=True, help="Show the log and tracebacks."),
    )):  # fmt: skip
        function = decorate(function)
    return function


def _layers(_: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Layers whose packages are removed, of words that commas separate."""
    words = tuple(word.strip() for word in (value or "").split(",") if value is not None)
    if unknown := [word for word in words if word not in LAYERS]:
        what = f"{unknown[0]!r} is no layer of packages"
        raise InputError("packages-wrong", what, "--packages", f"use {', '.join(LAYERS)}")
    return words


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)  # fmt: skip
@click.version_option(__version__, "-V", "--version", prog_name="gpurig")
@options.QUIET
@options.VERBOSE
@click.option("--debug", is_flag=True, help="Show the log and tracebacks.")
@click.pass_context
def gpurig(context: click.Context, /, **early: bool) -> None:
    """From a bare machine to a proven AI workstation."""
    given = {name: True for name, value in early.items() if value}
    context.default_map = dict.fromkeys(gpurig.commands, given)


def _work(verb: str, options: dict[str, Any]) -> None:
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.work import work

    sys.exit(work(Asked.of(verb, options)))


@gpurig.command()
@click.option("--reboot", type=click.Choice(["never", "ask", "if-needed"]),
              help="Whether to reboot a host that needs it; default: rig_reboot.")  # fmt: skip
@click.option("--restart-docker", is_flag=True,
              help="Restart Docker if needed, even if containers stop.")  # fmt: skip
@click.option("--accept-hardware", is_flag=True,
              help="What a host was set up with and lacks now is gone for good.")  # fmt: skip
@click.option("--upgrade", is_flag=True, help="Move frameworks and packages to newer releases.")
@click.option("--prune", is_flag=True,
              help="Delete gpurig's environments that the settings no longer name.")  # fmt: skip
@click.option("--prove", type=click.Choice(["auto", "always", "never"]), default=Options.prove,
              help="Which proofs to run; auto: no training that has passed for"
                   " this state.")  # fmt: skip
@_PREFETCH
@click.option("-y", "yes", is_flag=True, help="Change without asking.")
@_target
def up(**options: Any) -> None:
    """Set hosts up or repair what has drifted, then prove them."""
    _work("up", options)


@gpurig.command()
@click.option("--upgrade", is_flag=True, help="Show what newer releases would change.")
@click.option("--prune", is_flag=True, help="Show which environments would be deleted.")
@_PREFETCH
@_target
def plan(**options: Any) -> None:
    """Show what `up` would change, and why; change nothing."""
    _work("plan", options)


@gpurig.command()
@_target
def verify(**options: Any) -> None:
    """Prove that hosts work; change nothing."""
    _work("verify", options)


@gpurig.command()
@click.option("--packages", metavar="LAYER,…", callback=_layers,
              help="Remove the packages of these layers, too: driver, cuda, docker,"
                   " container-toolkit.")  # fmt: skip
@click.option("--restart-docker", is_flag=True,
              help="Restart Docker if needed, even if containers stop.")  # fmt: skip
@click.option("-y", "yes", is_flag=True, help="Remove without asking.")
@_target
def remove(**options: Any) -> None:
    """Take away what gpurig made, and only that."""
    _work("remove", options)


@gpurig.command()
@_target
def facts(**options: Any) -> None:
    """Show what hosts have."""
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.work import facts

    sys.exit(facts(Asked.of("facts", options)))


@gpurig.command()
@click.option("--facts", "saved", type=click.Path(), metavar="FILE",
              help="Resolve for the hosts in a file of `facts --json`.")  # fmt: skip
@click.option("--os", metavar="ID:VERSION",
              help="Resolve for a described machine, by its distribution:"
                   " debian:13.")  # fmt: skip
@click.option(
    "--arch",
    metavar="MACHINE",
    help="Its architecture: x86_64 or aarch64; default: that of its GPUs, else x86_64.",
)
@click.option("--kernel", metavar="RELEASE", help="The kernel that boots next.")
@click.option("--gpu", "gpus", multiple=True, metavar="NAME|10de:ID|FILE|-",
              help="A GPU by name or PCI id, also \"2x H100\", or what lspci -nn or nvidia-smi"
                   " prints; can be repeated.")  # fmt: skip
@click.option("--driver", metavar="VERSION", help="The driver that it has: 535.183.01.")
@click.option("--python", metavar="VERSION", help="The version of its python3.")
@click.option("--secure-boot", is_flag=True, default=None, help="Secure Boot is on.")
@click.option("--virtualization", type=click.Choice(["none", "vm", "container", "wsl"]),
              help="What it runs in; default: none.")  # fmt: skip
@_target
def resolve(**options: Any) -> None:
    """Show which stack fits hosts, saved facts or a described machine, and why."""
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.resolve import resolve
    from gpurig.stack.described import Given

    given = Given.of(options)
    sys.exit(resolve(Asked.of("resolve", options), options["saved"], given))


@gpurig.command()
@click.option("-y", "yes", is_flag=True, help="Trust the keys shown without asking.")
@_target
def trust(**options: Any) -> None:
    """Show new SSH host keys, and trust them after a yes."""
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.trust import trust

    sys.exit(trust(Asked.of("trust", options)))


@gpurig.command(cls=WithProgram, options_metavar="[OPTIONS] [-- PROGRAM ARGUMENTS…]")
@train_options.options
@_target
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train on all hosts together, with torchrun, Horovod or multi-worker TensorFlow."""
    greenlets.patch()
    from gpurig.cli.train import train

    sys.exit(train(options, ctx.obj or []))


@gpurig.group(cls=Verbs)
def image() -> None:
    """Build, run and save container images, with the Docker of DOCKER_HOST or of your context."""


@image.command()
@click.argument("name", metavar="NAME|PATH")
@click.option("--base", metavar="IMAGE", help="Build on this image; default: rig_base_image.")
@click.option("--index", metavar="URL", help="Read wheels from here; default: rig_pypi_index.")
@click.option("--tag", metavar="NAME", help="Name the image; default: gpurig/NAME.")
@options.SET
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def build(name: str, debug: bool, **options: Any) -> None:
    """Build an image: tensorflow, pytorch, or a folder with a Dockerfile."""
    from gpurig.cli.image import build

    sys.exit(build(name, **options))


@image.command("run", context_settings={"allow_interspersed_args": False})
@click.option(
    "--gpus", metavar="all|none|N", help="GPUs of the container; default: all that Docker offers."
)
@click.option("-v", "--volume", "volumes", multiple=True, metavar="FOLDER:/FOLDER",
              help="A folder in the container; can be repeated; $PWD is"
                   " /workspace.")  # fmt: skip
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_image(name: str, command: tuple[str, ...], debug: bool, **options: Any) -> None:
    """Run an image as yourself, in the current folder; end with its exit code."""
    from gpurig.cli.image import run

    sys.exit(run(name, command, **options))


@image.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def save(name: str, file: str, debug: bool) -> None:
    """Write an image into a file, for rig_images."""
    from gpurig.cli.image import save

    sys.exit(save(name, file))


for command in about.COMMANDS:
    gpurig.add_command(command)


def main() -> None:
    """Run the command line, and end with its exit code."""
    prepare_streams()
    prepare_output()
    sys.exit(ended(gpurig, sys.argv[1:]))


if __name__ == "__main__":
    main()
