"""What is built from this repository, and what it is built with."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "src/gpurig": "gpurig",
    "deploy": "gpurig/deploy",
    "facts": "gpurig/facts",
    "inventories": "gpurig/inventories",
    "operations": "gpurig/operations",
    "tests/proofs": "gpurig/proofs",
    "workloads": "gpurig/workloads",
}


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _expected() -> set[str]:
    """The wheel's files as the repository says: every tracked file of the shipped folders."""
    return {
        name.replace(folder, place, 1)
        for name in _tracked()
        for folder, place in FOLDERS.items()
        if name.startswith(f"{folder}/") and not (ROOT / name).is_symlink()
    }


def _build(source: Path, target: Path) -> set[str]:
    """Build a wheel without any network; its files without the metadata."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps",
         "--no-build-isolation", "-w", target, source],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as an archive without symbolic links, as a forge's zip unpacks."""
    folder = tmp_path_factory.mktemp("archive")
    for name in _tracked():
        if not (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_the_wheel_holds_what_the_repository_says(archive: Path, tmp_path: Path) -> None:
    """No file is lost and none is added: links are walked by luck in some build back ends."""
    assert _build(archive, tmp_path) == _expected()


def test_the_clone_imports_the_root_folders() -> None:
    """src/gpurig/X is a link to the folder of the root, for each of them."""
    for folder in set(FOLDERS) - {"src/gpurig"}:
        link = ROOT / "src/gpurig" / folder.rsplit("/", 1)[-1]
        assert link.is_symlink(), link
        assert link.resolve() == ROOT / folder


def test_the_lock_is_hashed_and_names_no_host() -> None:
    """Every pin has a hash; an index is whatever pip is told to use."""
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 40
    assert all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))


def test_the_lock_covers_the_dependencies() -> None:
    """What pyproject.toml wants is in the lock, with the build back end and the tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in project["dependency-groups"].values():
        wanted += group
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    names = {re.split(r"[=<>;\[ ]", requirement)[0] for requirement in wanted}
    assert names <= locked, names - locked


def test_ci_runs_the_readme_s_command() -> None:
    """.ci/run ends in exactly the command of the README."""
    last = (ROOT / ".ci/run").read_text().strip().splitlines()[-1]
    assert last == "exec ./gpurig test"
    assert "./gpurig test" in (ROOT / "README.md").read_text()


def test_the_bootstrap_is_plain_shell() -> None:
    """./gpurig parses as POSIX shell."""
    subprocess.run(["sh", "-n", ROOT / "gpurig"], check=True)
