"""`scripts/release`: what goes to the package index is whole, of one version, and tried."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> Any:
    """The script as a module."""
    loader = SourceFileLoader("release", str(ROOT / "scripts/release"))
    spec = spec_from_loader("release", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def committed(script: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as one commit, whose changelog names the version."""
    folder = tmp_path_factory.mktemp("committed")
    for name in filter(None, _git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    for link in (ROOT / "src/gpurig").iterdir():
        if link.is_symlink():
            shutil.copy2(link, folder / "src/gpurig" / link.name, follow_symlinks=False)
    changelog = folder / "CHANGELOG.md"
    version = script.Release(folder).version
    changelog.write_text(changelog.read_text().replace("## Unreleased", f"## {version}"))
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", "a release")
    return folder


@pytest.fixture(scope="module")
def built(script: Any, committed: Path) -> tuple[Path, Path]:
    """Its sdist and its wheel, made without any network."""
    release = script.Release(committed)
    found: tuple[Path, Path] = release.build()
    assert not release.problems
    return found


def test_a_release_that_is_right_has_no_problem(
    script: Any, committed: Path, built: tuple[Path, Path]
) -> None:
    """Tree, version, metadata, and the files of both archives."""
    release = script.Release(committed)
    release.check_tree()
    release.check_version()
    release.check_contents(*built)
    assert release.problems == []


def test_a_file_that_an_archive_lacks_is_named(
    script: Any, committed: Path, built: tuple[Path, Path], tmp_path: Path
) -> None:
    """Also one that git got after the build: then the archives are of another commit."""
    other = tmp_path / "other"
    shutil.copytree(committed, other, symlinks=True)
    (other / "facts/later.py").write_text("")
    _git(other, "add", "-A")
    release = script.Release(other)
    release.check_contents(*built)
    assert len(release.problems) == 2
    assert "lacks ['gpurig/facts/later.py']" in release.problems[0]
    assert "lacks ['facts/later.py']" in release.problems[1]


def _uncommitted(folder: Path) -> None:
    (folder / "README.md").write_text("changed")


def _unreleased(folder: Path) -> None:
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("\n## ", "\n## Unreleased\n\n## ", 1))


def _tagged(folder: Path) -> None:
    _git(folder, "tag", "v0.1.0")


def _no_heading(folder: Path) -> None:
    (folder / "CHANGELOG.md").write_text("# Changelog\n")


WRONG: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "uncommitted": (_uncommitted, "check_tree", "1 files are not committed, README.md first"),
    "unreleased": (_unreleased, "check_version", "begins with Unreleased; make that heading 0.1.0"),
    "tagged": (_tagged, "check_version", "the tag v0.1.0 exists"),
    "no heading": (_no_heading, "check_version", "begins with none"),
}


@pytest.mark.parametrize(("change", "check", "said"), WRONG.values(), ids=WRONG)
def test_what_must_not_be_published_is_said(
    script: Any,
    committed: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    check: str,
    said: str,
) -> None:
    """In one sentence each."""
    folder = tmp_path / "wrong"
    shutil.copytree(committed, folder, symlinks=True)
    init = folder / "src/gpurig/__init__.py"
    assert '"0.1.0"' in init.read_text(), "the sentences above name the version"
    change(folder)
    release = script.Release(folder)
    getattr(release, check)()
    (problem,) = release.problems
    assert said in problem


def test_every_python_that_is_promised_is_tried(script: Any) -> None:
    """From the first that pyproject.toml allows."""
    assert f'requires-python = ">={script.PYTHONS[0]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.lab
def test_the_wheel_works_alone(
    script: Any,
    committed: Path,
    built: tuple[Path, Path],
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In an empty environment of this Python, from an index, it resolves a stack."""
    monkeypatch.setenv("PIP_INDEX_URL", lab.index_url)
    monkeypatch.setenv("PIP_TRUSTED_HOST", "10.77.0.1")
    release = script.Release(committed)
    assert release.try_wheel(built[1], f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert release.problems == []
