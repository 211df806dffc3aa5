"""apt's sources are read as apt reads them: each input goes to both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gpurig.facts.packages.apt import Source, Sources
from gpurig.operations.packages.sources import _missing
from gpurig.operations.shared.apt import stanza

pytestmark = pytest.mark.lab  # where hosts are booted there is an apt

M = "http://m.example/debian"
STANZA = f"Types: deb\nURIs: {M}/\nSuites: trixie\nComponents: main\n"
# By what is special about it: the name of the file and its text. apt reads all of them.
INPUTS = {
    "a line": ("a.list", f"deb {M} trixie main contrib\n"),
    "no newline at the end": ("a.list", f"deb {M} trixie main"),
    "a tab and blanks": ("a.list", f"  deb\t{M}   trixie\tmain  \n"),
    "a comment behind": ("a.list", f"deb {M} trixie main # contrib\n"),
    "a comment": ("a.list", f"# deb {M} trixie main\n#deb {M} sid main\n"),
    "options": ("a.list", f"deb [arch=amd64,i386 trusted=yes] {M} trixie main\n"),
    "options with blanks around": ("a.list", f"deb [ arch=amd64 lang=none ] {M} trixie main\n"),
    "sources of source code": ("a.list", f"deb-src {M} trixie main\ndeb {M} sid main\n"),
    "flat": ("a.list", "deb http://flat.example/x ./\n"),
    "flat at the root": ("a.list", "deb http://flat.example/x /\n"),
    "a disc": ("a.list", "deb cdrom:[Debian GNU/Linux 13 amd64]/ trixie main\n"),
    "quotes": ("a.list", f'deb "{M}" "trixie" main\n'),
    "a file": ("a.list", "deb file:/srv/debs trixie main\ndeb [trusted=yes] file:///srv/x ./\n"),
    "a list of mirrors": ("a.list", "deb mirror+file:/etc/apt/m.list trixie main\n"),
    "over tor": ("a.list", "deb tor+https://m.example/debian trixie main\n"),
    "a user and a port": ("a.list", "deb https://u:p@m.example:8443/debian trixie main\n"),
    "twice": ("a.list", f"deb {M} trixie main\ndeb {M}/ trixie contrib\n"),
    "CRLF": ("a.list", f"deb {M} trixie main\r\ndeb {M} sid main\r\n"),
    "a name that apt passes over": ("a b.list", f"deb {M} trixie main\n"),
    "a backup": ("a.list.save", f"deb {M} trixie main\n"),
    "a hidden file": (".a.list", f"deb {M} trixie main\n"),
    "an empty file": ("a.list", ""),
    "a stanza": ("a.sources", STANZA),
    "a stanza in capitals": ("a.sources", STANZA.replace("Types", "TYPES")),
    "several of each": (
        "a.sources",
        f"Types: deb deb-src\nURIs: {M} http://n.example/debian\nSuites: trixie sid\n"
        "Components: main contrib\n",
    ),
    "folded": ("a.sources", f"Types: deb\nURIs:\n {M}\nSuites: trixie\n sid\nComponents: main\n"),
    "off": ("a.sources", f"Enabled: no\n{STANZA}"),
    "off by number": ("a.sources", f"Enabled: 0\n{STANZA}"),
    "on": ("a.sources", f"Enabled: yes\n{STANZA}"),
    "two stanzas": ("a.sources", f"{STANZA}\n{STANZA.replace('trixie', 'sid')}"),
    "two empty lines": ("a.sources", f"\n\n{STANZA}\n\n\n{STANZA.replace('trixie', 'sid')}\n"),
    "a line of blanks": ("a.sources", f"{STANZA} \nX-Own: 1\n"),
    "comments between fields": ("a.sources", STANZA.replace("Suites", "# mine\nSuites")),
    "a comment before": ("a.sources", f"# mine\n# Types: deb\n\n{STANZA}"),
    "architectures": ("a.sources", f"{STANZA}Architectures: amd64\n"),
    "a key within": (
        "a.sources",
        f"{STANZA}Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n"
        " -----END PGP PUBLIC KEY BLOCK-----\n",
    ),
    "a stanza, CRLF": ("a.sources", STANZA.replace("\n", "\r\n")),
    "a flat stanza": ("a.sources", "Types: deb\nURIs: http://flat.example/x\nSuites: ./\n"),
}
Read = set[tuple[str, str, str]]


@pytest.mark.parametrize(("name", "text"), INPUTS.values(), ids=INPUTS)
def test_sources_are_what_apt_reads(tmp_path: Path, name: str, text: str) -> None:
    """The same places, suites and components, of packages."""
    parts, lists = tmp_path / "etc/apt/sources.list.d", tmp_path / "lists"
    parts.mkdir(parents=True)
    lists.mkdir()
    (parts / name).write_bytes(text.encode())
    assert _ours(tmp_path) == _apts(parts, lists)


# What is told of an archive besides; apt refuses two entries of one archive that differ in it.
TOLD = {
    "an unsigned mirror": ("a.list", f"deb [trusted=yes] {M} trixie main\n"),
    "a snapshot": ("a.list", f"deb [check-valid-until=no] {M} trixie main\n"),
    "languages": ("a.list", f"deb [lang+=de,fr target-=Contents-deb] {M} trixie main\n"),
    "an unsigned stanza": ("a.sources", f"{STANZA}Trusted: yes\nX-Repolib-Name: mine\n"),
    "packages left out": ("a.sources", f"{STANZA}Exclude: nvidia-driver\nPDiffs: no\n"),
}


@pytest.mark.parametrize(("name", "text"), TOLD.values(), ids=TOLD)
def test_what_is_written_beside_a_source_agrees_with_it(
    tmp_path: Path, name: str, text: str
) -> None:
    """apt reads both, and the second has the component that the first lacks."""
    parts, lists = tmp_path / "etc/apt/sources.list.d", tmp_path / "lists"
    parts.mkdir(parents=True)
    lists.mkdir()
    (parts / name).write_text(text)
    (ours,) = _missing(_found(tmp_path), ("non-free",), "trixie", None)
    (parts / "gpurig-components.sources").write_text(stanza(ours))
    assert ours in [source | {"file": ours["file"]} for source in _found(tmp_path)]
    assert {component for *_, component in _apts(parts, lists)} == {"main", "non-free"}


def _apts(parts: Path, lists: Path) -> Read:
    options = (f"Dir::State::lists={lists}", f"Dir::Etc::sourceparts={parts}",
               f"Dir::Etc::sourcelist={lists}/none")  # fmt: skip
    told = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info",
         *(word for option in options for word in ("-o", option)),
         "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = (line.replace("$(COMPONENT)", "").split("|") for line in told.splitlines())
    return {(_bare(uri), suite.rstrip("/"), component) for uri, suite, component in rows}


def _bare(uri: str) -> str:
    """apt writes ``file:///srv`` as ``file:/srv``."""
    return re.sub("^(file|cdrom|mirror[+]file):/*", r"\1:", uri).rstrip("/")


def _found(root: Path) -> list[Source]:
    script = Sources().command().get_raw_value().replace("/etc/apt", f"{root}/etc/apt")
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    found = Sources().process(ran.stdout.replace(f"{root}/etc/apt", "/etc/apt").splitlines())
    assert isinstance(found, list), found
    return found


def _ours(root: Path) -> Read:
    return {
        (_bare(uri), suite.rstrip("/"), component)
        for source in _found(root)
        if "deb" in source["types"]
        for uri in source["uris"]
        for suite in source["suites"]
        for component in source["components"] or [""]
    }
