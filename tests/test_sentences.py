"""Every sentence that people read is on one page, and says in plain words who does what."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOADER = SourceFileLoader("sentences", str(ROOT / "scripts" / "sentences"))
SPEC = spec_from_loader("sentences", LOADER)
assert SPEC
script = module_from_spec(SPEC)
LOADER.exec_module(script)

# Words that hide who does what, or that a reader in a hurry must look up.
UNCLEAR = re.compile(
    r"""(?<!["'`-])\b(anew|lest|mend(s|ed|ing)?|whoever|whom|(some|no)body|wish(ed|es)?
    |no\ more|brought\ about|turned\ away|passed\ over|thereby|hence|thereof
    |(is|are|be|was|were)\ (said|told)|(not|cannot|could|can)\ be\ had|had\ again
    |stands?\ (in(?!\ for)|on|at|beside|behind|there))\b""",
    re.VERBOSE | re.IGNORECASE,
)
ROOMS = script.rooms()
GENERATED = ("messages.md", "settings.md")  # from the code's sentences
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "tests/*.md", "tests/lab/*.md", "workloads/*.md",
                    "benchmarks/*.md")
    for page in ROOT.glob(pattern)
    if page.name not in GENERATED
)  # fmt: skip

CODE = '''
"""A docstring of a module."""
import re

@gpurig.command()
@click.option("--prune", metavar="A B", help="Delete what the settings no longer name.")
def up(**options):
    """Set hosts up."""

@pytest.mark.proof("docker.users")
def test_users(host):
    """Users can use Docker.

    More for who reads the code.
    """
    assert told.rc == 0, f"{user}: Docker refuses {told.stderr.strip()}"
    return re.compile("some pattern or other"), "one", f"{a} {b}"

def why(found):
    """A docstring of a function."""
    said = "is missing" if found == "not this one" else f"has {', '.join(found)} and no more"
    yield StringCommand("echo not this one")
    yield script + f"[ -e {path} ] || {{ echo 'E: {path} is not there' >&2; exit 1; }}"
    return known["not this one"], f"{found['version']} " + "is too old", "rm -rf {path} {other}"
'''


def test_the_page_has_every_sentence_of_the_code() -> None:
    """`scripts/sentences` writes docs/reference/messages.md as it is."""
    assert script.PAGE.read_text() == script.page(), "run scripts/sentences, and read what is new"


def test_what_people_read_is_collected_and_nothing_else() -> None:
    """Titles of proofs, help texts, reasons, what a shell prints; no code and no docstring."""
    assert script.sentences(CODE) == [
        "Set hosts up.",
        "Delete what the settings no longer name.",
        "Users can use Docker.",
        "{user}: Docker refuses {told}",
        "is missing",
        "has {found} and no more",
        "E: {path} is not there",
        "{version} is too old",
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_sentences_of_the_code_are_plain(room: str) -> None:
    """No sentence of the room has a word that hides who does what."""
    assert not [one for one in ROOMS[room] if UNCLEAR.search(script.HOLE.sub(" ", one))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_plain(page: Path) -> None:
    """Nor has the prose of a page; what programs print there is in their own words."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    assert not [line for line in prose.splitlines() if UNCLEAR.search(line)]
