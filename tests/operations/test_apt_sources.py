"""apt's sources: what of the archive is added beside what the user has, and whose source counts."""

from __future__ import annotations

from typing import Any

import pytest

from gpurig.facts.apt import Source, Sources
from gpurig.operations.apt import _missing, _stanza, _theirs
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


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.list", "# deb http://x.example.org/ ./"),
        ("a.list", "deb-src"),
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
        assert _read("debian.sources", _stanza(source)) == [source]  # type: ignore[arg-type]


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
    assert _theirs(theirs, TOOLKIT) == theirs[0]
    assert _theirs(_read("gpurig-nvidia-container-toolkit.list", "deb x /"), TOOLKIT) is None
