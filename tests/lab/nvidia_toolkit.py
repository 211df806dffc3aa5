"""NVIDIA's own packages of the container toolkit, from a folder or from their repository."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from .commands import run
from .errors import LabError
from .standins.toolkit import packages as toolkit

SETTING, KEY_SETTING = "GPURIG_NVIDIA_TOOLKIT", "GPURIG_NVIDIA_TOOLKIT_KEY"
# Read as text: the command `lab` also runs where gpurig and a reader of TOML are not installed.
TABLE = Path(__file__).parents[2] / "src/gpurig/stack/tables/containers.toml"
PACKAGES = (toolkit.UPPER, toolkit.BASE, toolkit.TOOLS, toolkit.LIBRARY)
FLAT = "stable/deb/amd64"  # where the repository lies below its address
FILE = re.compile(r"(?P<name>[a-z0-9.+-]+)_(?P<version>\d[\d.]*-\d+)_amd64\.deb")


def given(cache: Path) -> list[Path]:
    """
    The .deb files that ``GPURIG_NVIDIA_TOOLKIT`` names: the two newest versions, none if unset.

    + cache: a folder that keeps what is downloaded; raises ``LabError`` for what cannot be used
    """
    source = os.environ.get(SETTING, "")
    if not source:
        return []
    if re.match(r"https?://", source):
        return _downloaded(source.rstrip("/"), cache)
    if not Path(source).is_dir():
        raise LabError(f"{SETTING} is neither a folder nor an address: {source}")
    files = {file.name: file for file in Path(source).glob("*.deb")}
    return [files[name] for name in _two_newest(files, source)]


def versions(names: Iterable[str]) -> list[str]:
    """The versions of which all four packages are among these files, oldest first."""
    there: dict[str, set[str]] = {}
    for name in names:
        if found := FILE.fullmatch(name):
            there.setdefault(found["version"], set()).add(found["name"])
    whole = [version for version, names_ in there.items() if names_ >= set(PACKAGES)]
    return sorted(whole, key=lambda version: [int(part) for part in re.findall(r"\d+", version)])


def digest(files: Iterable[Path]) -> str:
    """What these files hold, as one value."""
    held = hashlib.sha256()
    for file in files:
        held.update(file.name.encode() + file.read_bytes())
    return held.hexdigest()


def _two_newest(names: Iterable[str], source: str) -> list[str]:
    """The names of the files that are to be had of a source, which may have more."""
    known = versions(names := list(names))
    if len(known) < 2:
        raise LabError(
            f"{SETTING}={source} has {len(known)} versions of all four packages for amd64,"
            f" and the tests move between two; the packages are {', '.join(PACKAGES)}"
        )
    found = [f"{name}_{version}_amd64.deb" for version in known[-2:] for name in PACKAGES]
    return sorted(found)


def _downloaded(url: str, cache: Path) -> list[Path]:
    """From a repository that is signed by the key whose fingerprint our tables hold."""
    fingerprint = os.environ.get(KEY_SETTING) or _known_fingerprint()
    release = _signed(_get(f"{url}/{FLAT}/InRelease"), _get(f"{url}/gpgkey"), fingerprint, url)
    index = _get(f"{url}/{FLAT}/Packages")
    listed = re.search(r"^SHA256:\n((?: .*\n)+)", release, re.MULTILINE)
    sums = [line.split() for line in (listed[1] if listed else "").splitlines()]
    if [hashlib.sha256(index).hexdigest(), str(len(index)), "Packages"] not in sums:
        raise LabError(f"{url} has a list of packages that its Release file does not know")
    stanzas = [dict(re.findall(r"^(\S+): (.*)$", each, re.MULTILINE))
               for each in index.decode().split("\n\n")]  # fmt: skip
    known = {Path(each["Filename"]).name: each for each in stanzas if "Filename" in each}
    files = []
    for name in _two_newest(known, url):
        file = cache / known[name]["SHA256"] / name
        if not file.exists():
            data = _get(f"{url}/{FLAT}/{known[name]['Filename']}")
            if hashlib.sha256(data).hexdigest() != known[name]["SHA256"]:
                raise LabError(f"{url} gave a {name} that is not the one in its list of packages")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".partial").write_bytes(data)
            file.with_suffix(".partial").rename(file)
        files.append(file)
    return files


def _known_fingerprint() -> str:
    """Of NVIDIA's key, as the product's tables have it."""
    row = TABLE.read_text().partition('name = "nvidia-container-toolkit"\n')[2]
    return row.partition('fingerprint = "')[2].partition('"')[0]


def _signed(release: bytes, key: bytes, fingerprint: str, url: str) -> str:
    """What the Release file says, if the key signed it."""
    with tempfile.TemporaryDirectory() as scratch:
        home, signed = Path(scratch), Path(scratch, "InRelease")
        (home / "key").write_bytes(key)
        signed.write_bytes(release)
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
        run(*gpg, "--import", home / "key", what=f"read the key of {url}")
        status = run(*gpg, "--status-fd", "1", "--output", home / "said", "--decrypt", signed,
                     what=f"verify the signature of {url}")  # fmt: skip
        valid = re.findall(r"^\[GNUPG:\] VALIDSIG (.*)$", status, re.MULTILINE)
        if not any(fingerprint.upper() in each.split() for each in valid):
            raise LabError(f"{url} is not signed by the key {fingerprint}")
        return (home / "said").read_text()


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise LabError(f"{SETTING}: {url} cannot be read: {error}") from error
