"""The documentation says what the code says: ids, exit codes, settings, commands, links."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gpurig.cli import main
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
    """What stands as code in the first column of the table with this header, each only once."""
    table = (REFERENCE / page).read_text().split(f"| {header} |", 1)[1].split("\n\n", 1)[0]
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


def test_every_command_and_option_is_on_the_page() -> None:
    """docs/reference/commands.md names what the command line takes, and no option more."""
    page = (REFERENCE / "commands.md").read_text()
    options = {
        option
        for command in (*main.gpurig.commands.values(), *main.image.commands.values())
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert _first_column("commands.md", "command") == set(main.gpurig.commands)
    written = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", page))
    assert options <= written, options - written
    assert written <= options | {"--lab"}, written - options


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
