"""The command line itself: what `--help` says."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from gpurig.cli.main import gpurig

SHARED = ["--limit", "--set", "--json", "--debug"]


def _verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


VERBS = dict(_verbs(gpurig))


def _options(verb: str) -> list[click.Option]:
    return [param for param in VERBS[verb].params if isinstance(param, click.Option)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does(verb: str) -> None:
    """In a sentence, as the verb itself does."""
    assert (VERBS[verb].help or "").endswith(".")
    for option in _options(verb):
        assert (option.help or "").endswith("."), option.opts


@pytest.mark.parametrize("verb", ["up", "plan", "verify", "facts", "resolve", "trust", "train"])
def test_what_all_verbs_on_hosts_take_comes_last(verb: str) -> None:
    """In one order, after the verb's own."""
    assert [option.opts[-1] for option in _options(verb)][-4:] == SHARED
