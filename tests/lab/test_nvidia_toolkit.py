"""The lab takes NVIDIA's own packages of the toolkit, from a folder or from a repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .errors import LabError
from .lab import Lab
from .nvidia_toolkit import KEY_SETTING, SETTING
from .repository import Repository
from .standins.toolkit import packages as toolkit

pytestmark = pytest.mark.lab

VERSIONS = ("1.9.0", "1.30.0", "1.31.2")


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three versions of the four packages, and the newest of one of them."""
    folder = tmp_path_factory.mktemp("debs")
    toolkit.build(folder, VERSIONS)
    shutil.copy(
        folder / "libnvidia-container1_1.31.2-1_amd64.deb",
        folder / "libnvidia-container1_1.40.0-1_amd64.deb",
    )
    return folder


@pytest.fixture
def served(lab: Lab, debs: Path) -> Iterator[Repository]:
    """The same as a repository on the bridge."""
    there = lab.repository("nvidia-toolkit-test")
    there.publish(debs.glob("*.deb"))
    yield there
    shutil.rmtree(there.folder)


def _content(opened: Lab) -> list[str]:
    """The versions of the upper package in the repository that hosts are given; it goes."""
    names = opened.toolkit.content
    assert len(names) == 8, "four packages of two versions"
    shutil.rmtree(opened.toolkit.folder)
    return [name.split("_")[1] for name in names if name.startswith("nvidia-container-toolkit_")]


def test_a_folder_of_packages_takes_the_stand_in_s_place(
    lab: Lab, debs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two newest versions that are whole are what hosts find, and what tests are told."""
    monkeypatch.setenv(SETTING, str(debs))
    given = Lab(lab.folder).open()
    assert given.toolkit_versions == ("1.30.0", "1.31.2")
    assert given.toolkit.url != lab.toolkit.url
    assert _content(given) == ["1.30.0-1", "1.31.2-1"]


def test_a_repository_takes_it_as_well(
    lab: Lab, served: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packages are copied, since hosts have no way out, if the right key signed their list."""
    monkeypatch.setenv(SETTING, served.url)
    monkeypatch.setenv(KEY_SETTING, served.fingerprint)
    assert _content(Lab(lab.folder).open()) == ["1.30.0-1", "1.31.2-1"]


def _refused(lab: Lab, monkeypatch: pytest.MonkeyPatch, source: str, key: str = "") -> str:
    monkeypatch.setenv(SETTING, source)
    monkeypatch.setenv(KEY_SETTING, key)
    with pytest.raises(LabError) as refused:
        Lab(lab.folder).open()
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_what_cannot_be_used_is_one_sentence(
    lab: Lab, debs: Path, served: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder, an empty one, one version, no repository, another key, a changed list or file."""
    assert "neither a folder nor an address" in _refused(lab, monkeypatch, "/nonexistent")
    assert "has 0 versions" in _refused(lab, monkeypatch, str(tmp_path))
    for deb in debs.glob("*_1.30.0-1_*.deb"):
        shutil.copy(deb, tmp_path)
    assert "has 1 versions" in _refused(lab, monkeypatch, str(tmp_path))
    assert "cannot be read" in _refused(lab, monkeypatch, f"{served.url}-not")
    # without KEY_SETTING the key is the one of the product's tables
    assert "is not signed by the key C95B321B" in _refused(lab, monkeypatch, served.url)
    flat = served.folder / "stable/deb/amd64"
    for deb in flat.glob("*_1.31.2-1_*.deb"):
        deb.write_bytes(deb.read_bytes() + b"x")
    shutil.rmtree(lab.folder / "nvidia-toolkit", ignore_errors=True)
    said = _refused(lab, monkeypatch, served.url, served.fingerprint)
    assert "that is not the one in its list of packages" in said
    (flat / "Packages").write_text("")
    said = _refused(lab, monkeypatch, served.url, served.fingerprint)
    assert "its Release file does not know" in said
