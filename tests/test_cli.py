"""The command line itself: what `--help` says, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gpurig.cli.main import gpurig

SHARED = ["--limit", "--set", "--json", "--quiet", "--verbose", "--debug"]


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


@pytest.mark.parametrize(
    "verb", ["up", "plan", "verify", "remove", "facts", "resolve", "trust", "train"]
)
def test_what_all_verbs_on_hosts_take_comes_last(verb: str) -> None:
    """In one order, after the verb's own."""
    assert [option.opts[-1] for option in _options(verb)][-6:] == SHARED


HEAVY = ("pyinfra", "paramiko", "gevent", "docker", "rich", "testinfra", "cryptography")
LIGHT = {
    "--version": ("gpurig.cli.main", ["--version"], HEAVY),
    "--help": ("gpurig.cli.main", ["up", "--help"], HEAVY),
    "settings": ("gpurig.cli.main", ["settings", "users"], HEAVY),
    "runs": ("gpurig.cli.main", ["runs"], HEAVY),
    "completion": ("gpurig.cli.main", ["completion", "bash"], HEAVY),
    "help": ("gpurig.cli.main", ["help", "train"], HEAVY),
    "a wrong option": ("gpurig.cli.main", ["plan", "--foo"], HEAVY),
    "tables": ("gpurig.cli.main", ["tables", "--json"], [one for one in HEAVY if one != "rich"]),
    "resolve": (
        "gpurig.cli.main",
        ["resolve", "--os", "debian:13", "--gpu", "H100"],
        [one for one in HEAVY if one not in ("rich", "gevent")],
    ),
    "the resolver": ("gpurig.stack.resolver", [], HEAVY),
}


@pytest.mark.parametrize(("module", "words", "heavy"), LIGHT.values(), ids=LIGHT)
def test_what_needs_no_host_imports_nothing_that_reaches_one(
    module: str, words: list[str], heavy: list[str]
) -> None:
    """It would take half a second of a processor each time."""
    script = f"""
import runpy, sys
sys.argv[1:] = {words}
try:
    runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
except SystemExit as done:
    assert done.code in (None, 0, 2), done.code
print("HEAVY", *(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "HEAVY"


MODULES = {"--version": 30, "plan --foo": 30, "settings users": 60, "runs": 60}


@pytest.mark.parametrize(("words", "most"), MODULES.items(), ids=MODULES)
def test_a_verb_without_hosts_loads_few_modules_of_ours(words: str, most: int) -> None:
    """Each costs time at every call; who needs more looks at what imports it."""
    script = (
        "import sys; from gpurig.cli import main\n"
        f"sys.argv[1:] = {words.split()}\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        "print(*(m for m in sys.modules if m.startswith('gpurig')), sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    found = [line for line in done.stderr.splitlines() if line.startswith("gpurig.")]
    assert 5 < len(found) <= most, found


@pytest.mark.parametrize(
    "verb", ["up", "plan", "verify", "remove", "facts", "resolve", "trust", "train"]
)
def test_a_verb_on_hosts_has_greenlets_before_it_has_sockets(verb: str) -> None:
    """Nothing is imported before the patch that could keep Python's own."""
    script = f"""
import sys
from gpurig.hosts import greenlets
def patched():
    early = {{"socket", "ssl", "select", "selectors", "subprocess", "pyinfra", "paramiko"}}
    print("patched", *early & set(sys.modules))
    sys.exit()
greenlets.patch = patched
from gpurig.cli import main
sys.argv = ["gpurig", {verb!r}, *["--engine", "torchrun"][:2 * ({verb!r} == "train")], "gpu01"]
main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["patched"]
