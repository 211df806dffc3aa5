"""Commands about gpurig itself, which need no host."""

from __future__ import annotations

import sys

import click

from gpurig.cli import candidates, options
from gpurig.errors import InputError
from gpurig.report.shown import say


@click.command()
@click.argument("name", required=False, shell_complete=candidates.setting_names)
@options.JSON
def settings(name: str | None, as_json: bool) -> None:
    """Explain every setting, or one, with its type, default and an example."""
    from gpurig.cli.settings import show_settings

    sys.exit(show_settings(name, as_json))


def _has_no_options(ctx: click.Context) -> None:
    """An option before a command of a group would count for nothing."""
    if ctx.invoked_subcommand and any(ctx.params.values()):
        words = f"{ctx.info_name} {ctx.invoked_subcommand}"
        what = "an option comes before the command that it is for"
        raise InputError("usage-wrong", what, words, f"write it behind: gpurig {words} …")


@click.group(invoke_without_command=True)
@options.SET
@options.JSON
@click.pass_context
def tables(ctx: click.Context, wishes: tuple[str, ...], as_json: bool) -> None:
    """List the tables that gpurig chooses versions by: where they are from, and how old."""
    _has_no_options(ctx)
    if ctx.invoked_subcommand is None:
        from gpurig.cli.tables import show_tables

        sys.exit(show_tables(as_json, wishes))


@tables.command()
@options.SET
@options.JSON
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def refresh(wishes: tuple[str, ...], as_json: bool, debug: bool) -> None:
    """Read which releases and drivers there are now, and keep them as tables of your own."""
    from gpurig.cli.refresh import refresh

    sys.exit(refresh(wishes, as_json))


@click.group(invoke_without_command=True)
@options.JSON
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List the runs that this user made: when, what, where, and how each ended."""
    _has_no_options(ctx)
    if ctx.invoked_subcommand is None:
        from gpurig.cli.runs import show_runs

        sys.exit(show_runs(as_json))


@runs.command()
@click.argument("run", required=False, shell_complete=candidates.runs)
@click.option("--open", "opens", is_flag=True, help="Open the report as the desktop does.")
def show(run: str | None, opens: bool) -> None:
    """Show how a run ended, and where its report is; without RUN, the newest."""
    from gpurig.cli.runs import show_run

    sys.exit(show_run(run, opens))


@runs.command()
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Keep the newest N runs.")
@click.option("--older-than", "days", type=click.IntRange(0, 36500), metavar="DAYS",
              help="Keep runs that are not older.")  # fmt: skip
@click.option("-y", "yes", is_flag=True, help="Delete without asking.")
def clean(keep: int | None, days: int | None, yes: bool) -> None:
    """Delete old runs, after showing which; never the newest."""
    from gpurig.cli.runs import clean

    sys.exit(clean(keep, days, yes))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes gpurig."""
    from gpurig.cli.completion import script

    say(script(context.find_root().command, shell).rstrip())


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]", shell_complete=candidates.verbs)
@click.pass_context
def help_of(context: click.Context, words: tuple[str, ...]) -> None:
    """Explain gpurig, or one command."""
    assert context.parent
    shown = context.parent
    for word in words:
        if not isinstance(shown.command, click.Group):
            break
        name, command, _ = shown.command.resolve_command(shown, [word])
        assert command
        shown = click.Context(command, info_name=name, parent=shown)
    say(shown.command.get_help(shown))


COMMANDS = (settings, tables, runs, completion, help_of)
