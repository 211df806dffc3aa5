"""
A stand-in of Docker's repository: Debian's own files under Docker's names, versions and relations.

dockerd, its command, containerd and runc are Debian's, with their units and maintainer scripts, so
that they really run; the two plugins are empty. The relations are those of docker-ce-packaging
(deb/common/control) and containerd-packaging (debian/control).
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import services
from .commands import run
from .debs import make_deb
from .hosts import Host
from .repository import signing_key

if TYPE_CHECKING:
    from .lab import Lab

PARTS = ("docker.io", "docker-cli", "containerd", "runc", "rootlesskit")
CONTRIB = "usr/share/docker.io/contrib"  # where Debian has what Docker has in /usr/bin
OLD = "docker (<< 1.5~), docker-engine, docker.io"


@dataclass(frozen=True)
class Docker:
    """
    Where it is: ``rig_repositories = {"docker": {"url": url, "fingerprint": fingerprint}}``.

    + url: what the distribution's id follows
    """

    url: str
    fingerprint: str


def docker(lab: Lab, host: Host, suite: str = "trixie") -> Docker:
    """
    Publish it for a suite, made of the packages that this host gets from its archive.

    + host: its apt fetches them
    """
    keys = lab.folder / "gnupg"
    fingerprint = signing_key(keys)
    name = f"docker-{suite}"
    place = lab.folder / "repositories" / name / "debian"
    host.run(f"apt-get -qq update && mkdir -p /root/debian && cd /root/debian && rm -f *.deb"
             f" && apt-get -qq download {' '.join(PARTS)}")  # fmt: skip
    shutil.rmtree(place, ignore_errors=True)
    pool = place / "pool"
    pool.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        debs = {part: _one(host.root / "root/debian", part) for part in PARTS}
        _packages(Path(scratch), debs, pool, suite)
    _signed(place, suite, keys, fingerprint)
    return Docker(f"{services.WEB}/repositories/{name}", fingerprint)


def _one(folder: Path, part: str) -> Path:
    (found,) = folder.glob(f"{part}_*.deb")
    return found


def _packages(scratch: Path, debs: Mapping[str, Path], pool: Path, suite: str) -> None:
    upstream = re.match(r"[0-9.]+", run("dpkg-deb", "-f", debs["docker.io"], "Version"))
    assert upstream
    version = f"5:{upstream[0]}-1~debian~{suite}"
    both = {"Conflicts": OLD}
    engine = both | {"Replaces": "docker-engine, docker-ce-cli (<< 5:28.0.0)"}
    needs = "containerd.io (>= 1.7.27), docker-ce-cli, iptables"
    _renamed(scratch, pool, [debs["docker.io"]], "docker-ce", version, engine, needs, CONTRIB)
    _renamed(scratch, pool, [debs["docker-cli"]], "docker-ce-cli", version, both, "")
    own = {"Enhances": "docker-ce"} | dict.fromkeys(
        ("Conflicts", "Breaks", "Replaces"), "rootlesskit"
    )
    files = _rootless(scratch / "rootless", debs)
    make_deb(pool, "docker-ce-rootless-extras", version, own, files, depends="dbus-user-session")
    runtime = dict.fromkeys(("Provides", "Conflicts", "Replaces"), "containerd, runc")
    parts = [debs["runc"], debs["containerd"]]  # maintainer scripts are the last one's
    _renamed(scratch, pool, parts, "containerd.io", "1.7.27-1", runtime, "")
    make_deb(pool, "docker-buildx-plugin", "0.17.0-1")
    compose = scratch / "docker-compose-plugin"
    compose.mkdir()
    empty = make_deb(compose, "docker-compose-plugin", "2.40.0-1")
    declared = dict.fromkeys(("Conflicts", "Replaces", "Breaks"), "docker-compose")
    _renamed(scratch, pool, [empty], "docker-compose-plugin", "2.40.0-1", declared, "")


def _rootless(scratch: Path, debs: Mapping[str, Path]) -> dict[str, bytes]:
    """What makes Docker run without root: its own scripts and its own RootlessKit, in /usr/bin."""
    for part in ("docker.io", "rootlesskit"):
        run("dpkg-deb", "-x", debs[part], scratch, what=f"unpack {part}")
    found = [
        *(scratch / CONTRIB).glob("dockerd-rootless*"),
        *(scratch / "usr/bin").glob("rootlesskit*"),
    ]
    return {f"usr/bin/{file.name}": file.read_bytes() for file in found}


def _renamed(
    scratch: Path,
    pool: Path,
    debs: Sequence[Path],
    name: str,
    version: str,
    relations: Mapping[str, str],
    needs: str,
    without: str = "",
) -> None:
    """One package of the files of these, under another name and with these relations."""
    root = scratch / name / "root"
    root.mkdir(parents=True)
    libraries = []
    for deb in debs:
        run("dpkg-deb", "-x", deb, root, what=f"unpack {deb.name}")
        depends = run("dpkg-deb", "-f", deb, "Depends").strip().split(", ")
        if without:
            shutil.rmtree(root / without)
        libraries += [one for one in depends if one.startswith(("lib", "adduser"))]
    run("dpkg-deb", "-e", debs[-1], root / "DEBIAN", what=f"unpack {debs[-1].name}")
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Maintainer": "Docker <support@docker.com>",
        "Depends": ", ".join(filter(None, [*dict.fromkeys(libraries), needs])),
        **relations,
        "Description": "stand-in of the gpurig lab",
    }
    control = "".join(f"{key}: {value}\n" for key, value in fields.items() if value)
    (root / "DEBIAN/control").write_text(control)
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, pool)


def _signed(place: Path, suite: str, keys: Path, fingerprint: str) -> None:
    """Index and sign what lies in ``pool``, as apt wants a suite with components."""
    dist = place / "dists" / suite
    index = dist / "stable/binary-amd64"
    index.mkdir(parents=True)
    text = run("sh", "-c", 'cd "$1" && apt-ftparchive packages pool', "sh", place)
    (index / "Packages").write_text(text)
    (index / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    said = {"Suite": suite, "Codename": suite, "Components": "stable", "Architectures": "amd64"}
    options = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in said.items()]
    release = run("apt-ftparchive", *options, "release", dist, what="describe a repository")
    (dist / "Release").write_text(release)
    gpg = ("gpg", "--homedir", keys, "--batch", "--yes", "--local-user", fingerprint)
    run(*gpg, "--output", dist / "InRelease", "--clearsign", dist / "Release")
    key = run("gpg", "--homedir", keys, "--armor", "--export", fingerprint)
    (place / "gpg").write_text(key)
