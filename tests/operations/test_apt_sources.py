"""apt's sources: what of the archive is added beside what the user has, and whose source counts."""

from __future__ import annotations

from typing import Any

import pytest

from gpurig.facts.packages.apt import Source, Sources
from gpurig.operations.packages.sources import _missing
from gpurig.operations.shared.apt import _theirs, conflict, stanza
from gpurig.stack.model import Repository

MIRROR = "http://mirror.example.org/debian"
SECURITY = "http://mirror.example.org/debian-security"
TOOLKIT = Repository(
    "nvidia-container-toolkit", "https://example.org/stable/deb/amd64", "/", (), "", "A" * 40
)


def _read(file: str, text: str) -> list[Source]:
    """The sources of one file, as the fact reads them."""
    output = [f"### /etc/apt/sources.list.d/{file}", *text.splitlines(), "", "gpurig-exit:0"]
    found = Sources().process(output)
    assert isinstance(found, list)
    return found


DEBIAN = _read(
    "debian.sources",
    f"""\
Types: deb
URIs: {MIRROR}
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {SECURITY}
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
""",
)


def _wanted(sources: list[Source], **more: Any) -> list[tuple[list[str], list[str], list[str]]]:
    found = _missing(sources, ("contrib", "non-free"), "trixie", more.get("mirror"))
    return [(source["uris"], source["suites"], source["components"]) for source in found]


def test_each_suite_of_the_host_gets_the_components_it_lacks() -> None:
    """Updates and security too, from the mirrors that the host uses."""
    assert _wanted(DEBIAN) == [
        ([MIRROR], ["trixie", "trixie-updates"], ["contrib", "non-free"]),
        ([SECURITY], ["trixie-security"], ["contrib", "non-free"]),
    ]


def test_what_the_user_enabled_is_not_added_again() -> None:
    """A component that is there already would be configured twice."""
    theirs = _read("extra.list", f"deb {MIRROR} trixie contrib non-free")
    assert _wanted([*DEBIAN, *theirs])[0] == (
        [MIRROR], ["trixie-updates"], ["contrib", "non-free"],
    )  # fmt: skip


def test_another_mirror_does_not_replace_security() -> None:
    """rig_apt_mirror is a mirror of the archive, which security is not in."""
    uris = [uris for uris, _, _ in _wanted(DEBIAN, mirror="http://near.example.org/debian")]
    assert uris == [["http://near.example.org/debian"], [SECURITY]]


def test_sources_without_packages_do_not_count() -> None:
    """With deb-src alone a component cannot be installed from."""
    source = _read("a.list", f"deb {MIRROR} trixie main\ndeb-src {MIRROR} trixie contrib non-free")
    assert _wanted(source) == [([MIRROR], ["trixie"], ["contrib", "non-free"])]


def test_one_mirror_written_in_two_ways_is_one() -> None:
    """A slash at the end makes no other place; apt warns of what is configured twice."""
    theirs = _read("a.list", f"deb {MIRROR}/ trixie main\ndeb {MIRROR} trixie contrib non-free")
    assert _wanted(theirs) == []


def test_what_the_mirror_already_has_is_not_added_again() -> None:
    """The user may have named the same mirror in a file of their own."""
    mirror = "http://near.example.org/debian"
    theirs = _read("near.list", f"deb {mirror} trixie contrib non-free")
    assert _wanted([*DEBIAN[:1], *theirs], mirror=mirror) == [
        ([mirror], ["trixie-updates"], ["contrib", "non-free"])
    ]


@pytest.mark.parametrize(
    ("line", "suites"),
    [
        (f"deb {MIRROR} stable main", ["stable"]),
        (f"deb {SECURITY} stable-security main", ["stable-security"]),
        (f"deb {MIRROR} trixie-backports main", ["trixie-backports"]),
        ("deb https://browser.example.org/linux stable main", []),
        ("deb https://db.example.org/pub/apt trixie-pgdg main", []),
        (f"deb {MIRROR} sid main", []),
        (f"deb {MIRROR} trixie contrib", []),
    ],
)
def test_only_the_distribution_s_archive_is_added_to(line: str, suites: list[str]) -> None:
    """Other archives have suites and a main of the same names, and none of these components."""
    found = _missing(_read("a.list", line), ("non-free",), "trixie", None)
    assert [suite for source in found for suite in source["suites"]] == suites


def test_options_of_a_line_go_with_it() -> None:
    """Its keyring and architectures hold for the components beside it."""
    line = f"deb [ arch=amd64,arm64 signed-by=/k.gpg lang=none ] {MIRROR} trixie main # mine"
    (found,) = _missing(_read("a.list", line), ("contrib",), "trixie", None)
    assert (found["signed_by"], found["architectures"]) == ("/k.gpg", ["amd64", "arm64"])
    assert found["options"] == {"languages": "none"}
    assert _read("gpurig-components.sources", stanza(found)) == [found]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.list", "# deb http://x.example.org/ ./"),
        ("a.list", "deb-src"),
        ("a.list", "deb [signed-by=/k.gpg http://x.example.org/ ./"),
        ("a.list", "deb [signed-by=/k.gpg] http://x.example.org/"),
        ("a.sources", "Enabled: false\nTypes: deb\nURIs: http://x.example.org\nSuites: /\n"),
        ("a.sources", "Enabled: no\nTypes: deb\nURIs: http://x.example.org\nSuites: /\n"),
        ("a.sources", "# a comment\n\nX-Nothing: here\n"),
    ],
)
def test_what_is_not_a_source(file: str, text: str) -> None:
    """Comments, broken lines and disabled stanzas are none."""
    assert _read(file, text) == []


def test_a_stanza_reads_as_what_it_was_written_from() -> None:
    """Also with a key inside it, as deb822 allows."""
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----"
    for signed_by in ("/usr/share/keyrings/x.gpg", key):
        source = DEBIAN[0] | {"signed_by": signed_by, "architectures": ["amd64"]}
        assert _read("debian.sources", stanza(source)) == [source]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "deb [signed-by=/k.gpg] https://example.org/stable/deb/amd64 /",
        "deb [arch=amd64 signed-by=/k.gpg] https://example.org/stable/deb/$(ARCH) /",
        "deb https://example.org/stable/deb/amd64/ /",
    ],
)
def test_the_user_s_own_source_of_a_repository_counts(line: str) -> None:
    """Two sources of one place with different keys stop apt."""
    theirs = _read("nvidia-container-toolkit.list", line)
    assert _theirs(theirs, TOOLKIT) == theirs
    assert _theirs(_read("a.list", line.replace("deb ", "deb-src ", 1)), TOOLKIT) == []
    assert _theirs(_read("a.list", line.replace("stable", "experimental")), TOOLKIT) == []
    assert _theirs(_read("a.list", line.replace(" /", " trixie/")), TOOLKIT) == []
    assert _theirs(_read("gpurig-nvidia-container-toolkit.list", "deb x /"), TOOLKIT) == []


MINT = _read(
    "official-package-repositories.list",
    """\
deb http://packages.linuxmint.com zena main upstream import backport

deb http://archive.ubuntu.com/ubuntu noble main universe
deb http://archive.ubuntu.com/ubuntu noble-updates main universe
deb http://archive.ubuntu.com/ubuntu noble-backports main universe

deb http://security.ubuntu.com/ubuntu/ noble-security main universe
""",
)


def test_a_derivative_gets_the_components_of_the_archive_that_it_is_made_of() -> None:
    """By that one's code name; the derivative's own archive, which has a main too, has none."""
    found = _missing(MINT, ("restricted",), "noble", None)
    assert [(source["uris"], source["suites"]) for source in found] == [
        (["http://archive.ubuntu.com/ubuntu"], ["noble", "noble-updates", "noble-backports"]),
        (["http://security.ubuntu.com/ubuntu/"], ["noble-security"]),
    ]


def test_a_mirror_is_signed_as_the_host_s_own_line_for_it_says() -> None:
    """Two Signed-By for one suite of one place, and apt reads neither."""
    other = "http://near.example.org/debian"
    own = _read("near.list", f"deb [signed-by=/usr/share/keyrings/near.gpg] {other} trixie main")
    (first, *_) = _missing([*DEBIAN, *own], ["contrib"], "trixie", other)
    assert (first["uris"], first["signed_by"]) == ([other], "/usr/share/keyrings/near.gpg")
    assert conflict([*DEBIAN, *own, *_missing([*DEBIAN, *own], ["contrib"], "trixie", other)]) == ""
