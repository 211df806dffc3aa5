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
LOCKS = ("requirements.lock", "src/gpurig/wheels/data/locks/uv.txt")
TEST_LOCK = "requirements-test.lock"
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
    built = _build(archive, tmp_path)
    assert built == _expected()
    assert "gpurig/py.typed" in built, "what is imported has types (PEP 561)"


def test_the_clone_imports_the_root_folders() -> None:
    """src/gpurig/X is a link to the folder of the root, for each of them."""
    for folder in set(FOLDERS) - {"src/gpurig"}:
        link = ROOT / "src/gpurig" / folder.rsplit("/", 1)[-1]
        assert link.is_symlink(), link
        assert link.resolve() == ROOT / folder


def test_an_editable_install_holds_no_copies(tmp_path: Path) -> None:
    """Each file stands in the clone alone: a path, and what tells the package's name."""
    build = "import sys; from hatchling.build import build_editable as b; b(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert names == ["_gpurig.pth"]
        assert archive.read("_gpurig.pth").decode().strip() == str(ROOT / "src")


@pytest.mark.parametrize("lock", [*LOCKS, TEST_LOCK])
def test_the_locks_are_hashed_and_name_no_host(lock: str) -> None:
    """Every pin has a hash; an index is whatever pip is told to use."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_locks_cover_the_dependencies() -> None:
    """A run's come with the build back end, a developer's stand apart, each name in one lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    run = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    first, second = (_locked(lock) for lock in LOCKS)
    tests = _locked(TEST_LOCK)
    assert _names(run + groups["build"]) <= first | second
    assert _names(groups["dev"]) <= tests
    assert not first & second
    assert not (first | second) & tests


def _locked(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / lock).read_text(), re.M))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[=<>;\[ ]", requirement)[0] for requirement in requirements}


def test_the_locks_fit_together() -> None:
    """They are resolved one after the other, and no package of .venv misses what it needs."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "pip", "check", "--python", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_readme_s_command() -> None:
    """.ci/run ends in exactly the command of the README."""
    last = (ROOT / ".ci/run").read_text().strip().splitlines()[-1]
    assert last == "exec ./gpurig test"
    assert "./gpurig test" in (ROOT / "README.md").read_text()


def test_the_bootstrap_is_plain_shell() -> None:
    """./gpurig parses as POSIX shell."""
    subprocess.run(["sh", "-n", ROOT / "gpurig"], check=True)
