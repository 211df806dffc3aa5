"""Signed apt repositories laid out as NVIDIA's are."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .debs import IDENTITY


@dataclass(frozen=True)
class Repository:
    """
    One flat, signed repository: ``deb [signed-by=…] URL/stable/deb/amd64 /``.

    + folder: where it lies; + url: where hosts find it; + keys: the GnuPG home that signs it
    """

    folder: Path
    url: str
    keys: Path

    @property
    def packages_url(self) -> str:
        """What follows ``deb`` in a source, before its `` /``."""
        return f"{self.url}/stable/deb/amd64"

    @property
    def key_url(self) -> str:
        """Where hosts find the public key, armored."""
        return f"{self.url}/gpgkey"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that signs it, 40 hexadecimal digits."""
        return (self.folder / "fingerprint").read_text().strip()

    def publish(self, packages: Iterable[Path]) -> None:
        """Make these .deb files, and no others, the content of the repository."""
        fingerprint = signing_key(self.keys)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "fingerprint").write_text(fingerprint + "\n")
        (self.folder / "gpgkey").write_text(
            run("gpg", "--homedir", self.keys, "--armor", "--export", fingerprint)
        )
        publish_flat(self.folder / "stable/deb/amd64", packages, self.keys, fingerprint)

    @property
    def content(self) -> list[str]:
        """The names of the .deb files in it."""
        return sorted(file.name for file in (self.folder / "stable/deb/amd64").glob("*.deb"))


def publish_flat(
    place: Path,
    packages: Iterable[Path],
    keys: Path,
    fingerprint: str,
    origin: str = "gpurig lab",
) -> None:
    """
    Make these .deb files, and no others, a flat repository signed by one key.

    + place: its folder, put there whole; keys: the GnuPG home that has the key
    + origin: what its Release file says of whose it is
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=place.parent))
    staged.chmod(0o755)
    for package in packages:
        shutil.copyfile(package, staged / package.name)
    index = run("sh", "-c", 'cd "$1" && apt-ftparchive packages .', "sh", staged)
    (staged / "Packages").write_text(index)
    (staged / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))
    release = run("apt-ftparchive", "-o", f"APT::FTPArchive::Release::Origin={origin}",
                  "release", staged, what="describe a repository")  # fmt: skip
    (staged / "Release").write_text(release)
    sign = ("gpg", "--homedir", keys, "--batch", "--yes", "--local-user", fingerprint)
    run(*sign, "--output", staged / "InRelease", "--clearsign", staged / "Release")
    run(*sign, "--output", staged / "Release.gpg", "-ab", staged / "Release")
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    staged.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def signing_key(keys: Path) -> str:
    """The fingerprint of the throw-away key in a GnuPG home, made if there is none."""
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    gpg = ("gpg", "--homedir", keys, "--batch", "--quiet")
    listed = run(*gpg, "--list-secret-keys", "--with-colons")
    if "fpr:" not in listed:
        make = ("--passphrase", "", "--quick-generate-key", IDENTITY, "rsa3072", "sign", "never")
        run(*gpg, *make, what="make a signing key")
        listed = run(*gpg, "--list-secret-keys", "--with-colons")
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def stop_agent(keys: Path) -> None:
    """End the agent that GnuPG leaves behind for this home."""
    if keys.is_dir():
        run("gpgconf", "--homedir", keys, "--kill", "gpg-agent")
