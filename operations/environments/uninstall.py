"""
Run by an environment's Python: distributions go, and no file that others have as well.

uv removes each file of a distribution, also one that its siblings share (nvidia/__init__.py), and
refuses one that has lost its RECORD.
"""

import csv
import os
import re
import shutil
import sys
from pathlib import Path


def files(info: Path) -> set[Path]:
    """What its RECORD lists, below the environment; nothing where it cannot be read."""
    site = info.parent
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as record:
            listed = [row[0] for row in csv.reader(record) if row]
    except (OSError, ValueError, csv.Error):
        return set()
    found = {Path(os.path.normpath(site / name)) for name in listed}
    return {file for file in found if file.is_relative_to(site.parents[2])}


def normalised(info: Path) -> str:
    """The name of a distribution by its folder (PEP 503)."""
    return re.sub("[-_.]+", "-", info.name.partition("-")[0]).lower()


def removed(site: Path, names: set[str]) -> None:
    """Take these away, with what was compiled of them."""
    infos = {info: files(info) for info in site.glob("*.dist-info")}
    gone = {info for info in infos if normalised(info) in names}
    kept = set().union(*(listed for info, listed in infos.items() if info not in gone))
    folders = set()
    for info in gone:
        for file in infos[info] - kept:
            file.unlink(missing_ok=True)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                if file.suffix == ".py":
                    compiled.unlink()
            folders |= {file.parent, file.parent / "__pycache__"}
        shutil.rmtree(info, ignore_errors=True)
    below = {parent for folder in folders for parent in (folder, *folder.parents)}
    for folder in sorted(below, key=lambda one: len(one.parts), reverse=True):
        inside = folder != site and folder.is_relative_to(site) and folder.is_dir()
        if inside and not any(folder.iterdir()):
            folder.rmdir()


if __name__ == "__main__":
    removed(Path(os.path.abspath(sys.argv[1])), set(sys.argv[2:]))
