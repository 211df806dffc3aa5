"""What goes with a distribution that is taken out of an environment, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.operations.environments.uninstall import removed

SITE = "env/lib/python3.13/site-packages"
DISTRIBUTIONS = {
    "nvidia_a-1": ["nvidia/__init__.py", "nvidia/a/__init__.py", "../../../bin/a"],
    "nvidia_b-1": ["nvidia/__init__.py", "nvidia/b/__init__.py"],
    "Odd.Name-2": ["odd/x.py"],
    "leads_out-1": ["../../../../mine", "own.py"],
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An environment's site-packages, with some distributions and what was compiled of one."""
    site = tmp_path / SITE
    for name, files in DISTRIBUTIONS.items():
        info = site / f"{name}.dist-info"
        info.mkdir(parents=True)
        for file in files:
            place = Path(f"{site}/{file}").resolve()
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("x")
        rows = [f"{file},sha256=x,1" for file in files] + [f"{info.name}/RECORD,,"]
        (info / "RECORD").write_text("\n".join(rows) + "\n")
    compiled = site / "nvidia/a/__pycache__/__init__.cpython-313.pyc"
    compiled.parent.mkdir()
    compiled.write_text("x")
    return site


def _files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def test_what_others_have_as_well_stays(site: Path) -> None:
    """Its own files and folders go, what was compiled of them, its script and its record."""
    before = _files(site.parents[2])
    removed(site, {"nvidia-a"})
    gone = before - _files(site.parents[2])
    short = f"{SITE.partition('/')[2]}/nvidia"
    assert gone == {
        "bin/a", f"{short}/a", f"{short}/a/__init__.py", f"{short}/a/__pycache__",
        f"{short}/a/__pycache__/__init__.cpython-313.pyc", f"{short}_a-1.dist-info",
        f"{short}_a-1.dist-info/RECORD",
    }  # fmt: skip


def test_two_that_share_a_file_take_it_along(site: Path) -> None:
    """Once nobody has it any more."""
    removed(site, {"nvidia-a", "nvidia-b"})
    assert not (site / "nvidia").exists()


def test_one_without_its_record_is_installed_no_more(site: Path) -> None:
    """Its files are nobody's then; its name goes, however it is written."""
    (site / "Odd.Name-2.dist-info/RECORD").unlink()
    removed(site, {"odd-name"})
    assert not (site / "Odd.Name-2.dist-info").exists()
    assert (site / "odd/x.py").exists()


def test_nothing_outside_of_the_environment_goes(site: Path, tmp_path: Path) -> None:
    """Whatever a record says."""
    removed(site, {"leads-out"})
    assert (tmp_path / "mine").exists()
    assert not (site / "own.py").exists()
