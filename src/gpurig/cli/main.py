"""
The command line: what each verb takes; what it does is imported when it is called.

So that `--help` and `--version` take no time, nothing here imports pyinfra or what drives it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from gpurig import __version__, store
from gpurig.errors import GpurigError
from gpurig.hosts import greenlets
from gpurig.report import SCHEMA
from gpurig.report.shown import prepare_output, say, shown_json, shown_line
from gpurig.settings.options import Options
from gpurig.training.engine_names import ENGINES

Command = Callable[..., None]

_SET = click.option("--set", "wishes", multiple=True, metavar="rig_KEY=VALUE",
                    help="Set a setting for all hosts; can be repeated.")  # fmt: skip
_PREFETCH = click.option("--no-prefetch", "prefetch", is_flag=True, default=True, flag_value=False,
                         help="Read facts one by one (same plan, slower).")  # fmt: skip


def _target(function: Command) -> Command:
    """The argument of every verb on hosts, and the options that come last in its help."""
    for decorate in reversed((
        click.argument("target", required=False, metavar="[INVENTORY|@local|HOST,…]"),
        click.option("--limit", metavar="HOST,…", help="Work on these hosts or groups only."),
        _SET,
        click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else."),
        click.option("--debug", is_flag=True, help="Show the log and tracebacks."),
    )):  # fmt: skip
        function = decorate(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gpurig")
def gpurig() -> None:
    """From a bare machine to a proven AI workstation."""


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
@click.option("--arch", metavar="MACHINE", help="Its architecture: x86_64 (default) or aarch64.")
@click.option("--kernel", metavar="RELEASE", help="The kernel that boots next.")
@click.option("--gpu", "gpus", multiple=True, metavar="10de:ID",
              help="A GPU by its PCI id; can be repeated.")  # fmt: skip
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def tables(as_json: bool) -> None:
    """List the tables that gpurig chooses versions by, and how old they are."""
    from gpurig.cli.tables import show_tables

    sys.exit(show_tables(as_json))


@gpurig.command()
@click.option("-y", "yes", is_flag=True, help="Trust the keys shown without asking.")
@_target
def trust(**options: Any) -> None:
    """Show new SSH host keys, and trust them after a yes."""
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.trust import trust

    sys.exit(trust(Asked.of("trust", options)))


class _WithProgram(click.Command):
    """A command whose words after ``--`` are a program's own, whatever stands before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            args, ctx.obj = args[:cut], args[cut + 1 :]
        return super().parse_args(ctx, args)


@gpurig.command(cls=_WithProgram, options_metavar="[OPTIONS] [-- PROGRAM ARGUMENTS…]")
@click.option("--engine", type=click.Choice(ENGINES), required=True,
              help="What starts the program on the hosts.")  # fmt: skip
@click.option("--workload", default="mnist", metavar="mnist|FILE",
              help="What to train: mnist (default), or a Python program.")  # fmt: skip
@click.option("--env", metavar="NAME",
              help="The environment; default: the one that has the engine.")  # fmt: skip
@click.option("--processes-per-host", "processes", type=click.IntRange(1), metavar="N",
              help="Processes on each host; default: one for each GPU, else one.")  # fmt: skip
@click.option("--no-baseline", "baseline", is_flag=True, default=True, flag_value=False,
              help="Do not train with one process first.")  # fmt: skip
@click.option("-x", "variables", multiple=True, metavar="NAME[=VALUE]",
              help="A variable for the program; without a value: the one set"
                   " here; can be repeated.")  # fmt: skip
@_target
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train on all hosts together, with torchrun, Horovod or multi-worker TensorFlow."""
    greenlets.patch()
    from gpurig.cli.asked import Asked
    from gpurig.cli.train import run, wish

    names = ("engine", "workload", "env", "processes", "baseline", "variables")
    wished = wish(**{name: options[name] for name in names}, arguments=ctx.obj or [])
    sys.exit(run(Asked.of("train", options), wished))


@gpurig.group()
def image() -> None:
    """Build, run and save container images, with the Docker of DOCKER_HOST or of this machine."""


@image.command()
@click.argument("name", metavar="NAME|PATH")
@click.option("--base", metavar="IMAGE", help="Build on this image; default: rig_base_image.")
@click.option("--index", metavar="URL", help="Read wheels from here; default: rig_pypi_index.")
@click.option("--tag", metavar="NAME", help="Name the image; default: gpurig/NAME.")
@click.option("--set", "wishes", multiple=True, metavar="rig_KEY=VALUE",
              help="Set a setting; can be repeated.")  # fmt: skip
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


def main() -> None:
    """Run the command line; errors are sentences, and tracebacks are for ``--debug``."""
    prepare_output()
    arguments = sys.argv[1:]
    # sudo, a ProxyCommand of ssh's, this machine's own shell: none comes from a folder of others.
    os.environ["PATH"] = store.search_path(os.environ.get("PATH", os.defpath))
    try:
        gpurig.main(args=arguments, standalone_mode=False)
    except GpurigError as error:
        if "--debug" in arguments:
            raise
        sys.exit(_tell(error, arguments))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        say("gpurig: interrupted. Changes so far stay. Run it again to finish.", err=True)
        sys.exit(130)


def _tell(error: GpurigError, arguments: list[str]) -> int:
    if "--json" in arguments:
        command = next((word for word in arguments if word in gpurig.commands), "")
        frame = {"schema": SCHEMA, "command": command, "hosts": {}, "errors": [error.as_json()]}
        say(json.dumps(shown_json(frame), indent=2))
    say(f"gpurig: {shown_line(str(error))}", err=True)
    return error.exit_code


if __name__ == "__main__":
    main()
