"""The command line's words: verbs in a person's order, and one sentence for what is wrong."""

from __future__ import annotations

import difflib

import click

from gpurig.errors import InputError


class Verbs(click.Group):
    """Commands in the order in which they are declared, and a sentence for one that is not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with its whole sentence, where click would cut it at the terminal's width."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.help or "") for name, one in self.commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = name in self.commands or name.startswith("-") or ctx.resilient_parsing
        if not known:
            near = difflib.get_close_matches(name, self.commands, n=1, cutoff=0.5)
            do = f"did you mean {near[0]}?" if near else f"{ctx.command_path} --help lists them"
            raise InputError("usage-wrong", f"there is no command {name!r}", _verb(ctx), do)
        return super().resolve_command(ctx, args)


class WithProgram(click.Command):
    """A command whose words after ``--`` are a program's own, whatever stands before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            args, ctx.obj = args[:cut], args[cut + 1 :]
        return super().parse_args(ctx, args)


def sentence(error: click.ClickException, verb: str) -> InputError:
    """
    What click says of a wrong command line, as an error of ours.

    + verb: the command, where click does not say which
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = _verb(context) if context else verb
    do = f"{f'gpurig {where}'.strip()} --help explains the options"
    what = _plain(error.format_message())
    if isinstance(error, click.NoSuchOption):
        what = f"there is no option {error.option_name}"
        do = f"did you mean {error.possibilities[0]}?" if error.possibilities else do
    elif isinstance(error, click.BadOptionUsage):
        what = what.removeprefix("option ")
    elif isinstance(error, click.MissingParameter) and error.param:
        what = f"{_called(error.param)} is missing"
        if isinstance(error.param.type, click.Choice):
            what += f": one of {', '.join(error.param.type.choices)}"
    elif isinstance(error, click.BadParameter) and error.param:
        what = f"{_called(error.param)}: {_plain(error.message)}"
    return InputError("usage-wrong", what, where, do)


def _verb(context: click.Context) -> str:
    return context.command_path.partition(" ")[2]


def _called(parameter: click.Parameter) -> str:
    """As it is typed, or as the line of usage has it."""
    return parameter.opts[-1] if parameter.opts[-1][:1] == "-" else parameter.human_readable_name


def _plain(text: str) -> str:
    """A sentence of click's as a part of one of ours: no capital in front, no full stop."""
    text = " ".join(text.split()).removesuffix(".")
    return text[:1].lower() + text[1:]
