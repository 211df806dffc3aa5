"""The documentation says what the code says: ids, exit codes, settings, commands, links."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gpurig.cli import main
from gpurig.operations.environments import environment
from gpurig.report.html import EXITS
from promise_ids import promises

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
ERRORS = {"GpurigError", "InputError", "HostError", "InternalError"}
FOLDERS = ("docs", "tests", "benchmarks")
PAGES = sorted({*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))})


def _calls(file: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]


def _constant(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def titles() -> dict[str, str]:
    """By id, the title of every proof, in the order in which they run."""
    return {
        _constant(mark.args[0]): (ast.get_docstring(node) or "").partition("\n")[0]
        for file in sorted((ROOT / "tests/proofs").glob("test_*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and getattr(mark.func, "attr", "") == "proof"
    }


def _first_column(page: str, header: str) -> set[str]:
    """What stands as code in the first column of the tables with this header, each only once."""
    tables = (REFERENCE / page).read_text().split(f"| {header} |")[1:]
    table = "\n".join(part.split("\n\n", 1)[0] for part in tables)
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"{page} has {', '.join(sorted(twice))} more than once"
    return set(names)


def _exits(page: Path) -> dict[int, str]:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page.read_text(), re.MULTILINE)
    return {int(code): meaning for code, meaning in rows}


def test_every_promise_is_on_the_page_and_nothing_else_is() -> None:
    """docs/reference/promises.md lists exactly the promises that operations keep."""
    assert _first_column("promises.md", "id") == promises()


def test_every_proof_is_on_the_page_and_nothing_else_is() -> None:
    """docs/reference/proofs.md lists exactly the proofs."""
    assert _first_column("proofs.md", "id") == set(titles())


def test_each_proof_is_on_the_page_by_its_title() -> None:
    """A row begins with the title that the screen and the reports show."""
    page = (REFERENCE / "proofs.md").read_text()
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))
    plain = {name: text.replace("`", "") for name, text in rows.items()}
    assert [name for name, title in titles().items() if not plain[name].startswith(title)] == []


def test_every_error_code_is_on_the_page_and_nothing_else_is() -> None:
    """docs/reference/json.md lists exactly the codes of the errors that are raised."""
    raised = {
        _constant(call.args[0])
        for file in (ROOT / "src/gpurig").rglob("*.py")
        for call in _calls(file)
        if isinstance(call.func, ast.Name) and call.func.id in ERRORS and call.args
    } - {""}
    assert _first_column("json.md", "code") == raised


@pytest.mark.parametrize("page", ["README.md", "docs/reference/exit-codes.md"])
def test_the_exit_codes_are_those_of_the_reports(page: str) -> None:
    """The table has the codes and the words of the report."""
    assert _exits(ROOT / page) == EXITS


def test_the_settings_page_is_as_written_from_the_declarations() -> None:
    """`scripts/settings-reference` gives the page."""
    command = [sys.executable, ROOT / "scripts" / "settings-reference"]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (REFERENCE / "settings.md").read_text() == page


def _commands(group: click.Group) -> Iterator[click.Command]:
    """It, its commands, and theirs."""
    yield group
    for command in group.commands.values():
        yield from _commands(command) if isinstance(command, click.Group) else (command,)


def test_every_command_and_option_is_on_the_page() -> None:
    """docs/reference/commands.md names what the command line takes, and no option more."""
    page = (REFERENCE / "commands.md").read_text()
    options = {
        option
        for command in _commands(main.gpurig)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert _first_column("commands.md", "command") == set(main.gpurig.commands)
    written = set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", page))
    assert options <= written, options - written
    assert written <= options | {"--lab", "--help", "-h"}, written - options


def test_a_row_of_options_names_the_commands_that_take_it() -> None:
    """The commands that share their options take all four; the others are in their rows."""
    page = (REFERENCE / "commands.md").read_text()
    verbs = dict(main.gpurig.commands)
    for group, within in main.gpurig.commands.items():
        if isinstance(within, click.Group):
            verbs |= {f"{group} {name}": one for name, one in within.commands.items()}
    takes: dict[tuple[str, bool], set[str]] = {}  # by option, and whether it has a value
    for verb, command in verbs.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    takes.setdefault((option, not parameter.is_flag), set()).add(verb)
    told = re.findall(r"^(.*) take these:$", page, re.M)
    shared = set(re.findall(r"`(\w+)`", told[0]))
    for option, valued in (("--limit", 1), ("--set", 1), ("--json", 0), ("--debug", 0)):
        assert shared <= takes[option, bool(valued)]
    assert takes["--limit", True] == shared
    rows = re.findall(r"^\| (`-.+?) \| (`[a-z`, ]+`) \|", page, re.M)
    assert rows
    for options, of in rows:
        for option in re.findall(r"`(--?[a-z-]+)", options):
            valued = " " in options.partition("`, ")[0]
            assert set(re.findall(r"`([a-z ]+)`", of)) == takes[option, valued], option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_table_is_whole(page: Path) -> None:
    """No empty line cuts it: each begins with a head and its line of dashes."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.M)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = table.splitlines()
        assert len(rows) > 2, rows[0]
        assert re.fullmatch(r"\|(-+\|)+", rows[1]), rows[0]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {rows[1].count("|")}, rows[0]


def test_pages_say_which_locks_ship() -> None:
    """Of PyTorch those for CUDA and none for the CPU, as the two pages say."""
    locks = {lock.name for lock in (ROOT / "src/gpurig/wheels/data/locks").glob("pytorch-*")}
    assert locks
    assert all("-cuda" in lock for lock in locks)
    assert "ships locks of PyTorch for CUDA, and none for the CPU" in _page("container-images")
    assert "but none of PyTorch for the CPU" in _page("environments")


def test_pages_use_what_gpurig_installs() -> None:
    """A host that was set up over SSH has virtualenv, and not Debian's python3-venv."""
    assert "virtualenv" in environment.PACKAGES
    assert "python3-venv" not in environment.PACKAGES
    assert not [page for page in (DOCS / "how-to").glob("*.md") if "-m venv" in page.read_text()]


def test_pages_agree_on_the_name_of_the_command() -> None:
    """gpurig, as the index of the pages says; ./gpurig on the page that begins with a clone."""
    assert (
        "In a clone, where gpurig is not installed, it is `./gpurig`."
        in (DOCS / "index.md").read_text()
    )
    for page in (DOCS / "how-to").glob("*.md"):
        lines = re.findall(r"^(\./gpurig .*)$", page.read_text(), re.M)
        assert not lines or page.name == "one-machine.md", page.name


def _page(name: str) -> str:
    return (DOCS / "how-to" / f"{name}.md").read_text()


def test_the_readme_names_both_commands() -> None:
    """The two commands stand in blocks of their own, ready to be copied."""
    blocks = "\n".join(re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    lines = blocks.splitlines()
    assert "./gpurig up" in lines
    assert "./gpurig test" in lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    """A link to a file leads to a file of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        file = (page.parent / target.partition("#")[0]).resolve()
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT), f"{page.name}: {target} leaves the repository"


def test_every_page_of_the_docs_is_in_the_index() -> None:
    """docs/index.md leads to each page."""
    linked = re.findall(r"\]\(([^)]+)\)", (DOCS / "index.md").read_text())
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert set(linked) == pages
