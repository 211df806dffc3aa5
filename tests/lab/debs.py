"""Debian packages made on the spot: real names, versions and relations, content of our own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from .commands import run
from .errors import LabError

IDENTITY = "gpurig lab <lab@example.org>"
EXECUTABLE = ("DEBIAN/p", "usr/bin/", "usr/local/cuda-13.0/bin/")  # maintainer scripts and programs


def make_deb(
    folder: Path,
    name: str,
    version: str,
    fields: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    links: Mapping[str, str] | None = None,
    *,
    depends: str = "",
    architecture: str = "amd64",
) -> Path:
    """
    Build one package; gives its file.

    + fields: of its control file, beside name, version and architecture; empty ones are left out
    + files: content by path without a leading slash; those in ``etc/`` are conffiles
    + links: target by path
    """
    folder.mkdir(parents=True, exist_ok=True)
    control = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": IDENTITY,
        "Depends": depends,
        **(fields or {}),
        "Description": "stand-in of the gpurig lab",
    }
    text = "".join(f"{key}: {value}\n" for key, value in control.items() if value)
    content = {"DEBIAN/control": text, **(files or {})}
    if conffiles := [f"/{path}\n" for path in content if path.startswith("etc/")]:
        content["DEBIAN/conffiles"] = "".join(conffiles)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch) / "root"
        for path, data in content.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data if isinstance(data, bytes) else data.encode())
            file.chmod(0o755 if path.startswith(EXECUTABLE) else 0o644)
        for path, target in (links or {}).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
        for each in [root, *root.rglob("*")]:
            if each.is_dir() and not each.is_symlink():
                each.chmod(0o755)
        build = ("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, folder)
        said = run(*build, what=f"make {name}")
    built = folder / f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"
    if not built.exists():
        raise LabError(f"dpkg-deb did not make {built.name}: {said.strip()}")
    return built
