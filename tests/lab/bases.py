"""The file systems hosts are copied from, one per suite, built once by debootstrap."""

from __future__ import annotations

import fcntl
import json
import lzma
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .commands import run
from .errors import LabError, LabMissing

SUITES = ("trixie", "bookworm")
INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,ca-certificates"
REQUIRED = {  # a command, or a file: the package that brings it
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "apt-cacher-ng": "apt-cacher-ng",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "shellcheck": "shellcheck",
    "gpg": "gpg",
    "gpg-agent": "gpg-agent",
    "apt-ftparchive": "apt-utils",
    "xz": "xz-utils",
    "mkfs.xfs": "xfsprogs",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


@dataclass(frozen=True)
class Archive:
    """Where a suite comes from: URIs as this machine's apt knows them, suites that answer."""

    suite: str
    uri: str
    suites: tuple[str, ...]
    security_uri: str
    security: str

    def sources(self) -> str:
        """A fresh Debian's debian.sources (component main), reached through the apt cache."""
        return _stanza(self.uri, self.suites) + (
            "\n" + _stanza(self.security_uri, (self.security,)) if self.security else ""
        )

    def version(self, package: str, component: str = "non-free") -> str:
        """The version of a package that apt would install now."""
        places = [(self.uri, suite) for suite in self.suites]
        if self.security:
            places.append((self.security_uri, self.security))
        best = ""
        for uri, suite in places:
            index = f"{uri}/dists/{suite}/{component}/binary-amd64/Packages.xz"
            for found in _versions(lzma.decompress(_get(index)).decode(), package):
                if not best or _newer(found, best):
                    best = found
        if not best:
            raise LabError(f"{self.suite} has no package {package} in {component}")
        return best


def install_packages(folder: Path, required: Mapping[str, str] | None = None) -> None:
    """
    Install from apt what the lab runs on; says nothing and does nothing if all is there.

    + folder: the lab's; apt refuses to refresh its lists twice at once, so that programs wait here
    + required: commands and files with their packages; what every lab needs, if not given
    """
    if os.geteuid() != 0:
        raise LabMissing("the lab boots hosts and therefore needs root; run it with sudo")
    with _locked(folder / "packages.lock"):
        missing = missing_packages(required)
        if not missing:
            return
        apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(*apt, "update", what="refresh the package lists", env=quiet)
        what = f"install {', '.join(missing)}"
        run(*apt, "install", "--no-install-recommends", *missing, what=what, env=quiet)


def missing_packages(required: Mapping[str, str] | None = None) -> list[str]:
    """The packages whose command or file this machine does not have."""
    asked = REQUIRED if required is None else required
    return sorted({package for needed, package in asked.items() if not _there(needed)})


def base(folder: Path, suite: str, python: bool = False) -> Path:
    """The base file system of a suite, built if it is not there yet (about 45 s)."""
    if suite not in SUITES:
        raise LabError(f"there is no suite {suite}; the lab has {' and '.join(SUITES)}")
    name = f"{suite}-python" if python else suite
    root = folder / "bases" / name
    with _locked(folder / "bases" / f"{name}.lock"):
        if not root.is_dir():
            _build(folder, suite, root, INCLUDE + (",python3" if python else ""))
    return root


def archive(folder: Path, suite: str) -> Archive:
    """Where the suite comes from, as found when the lab first looked."""
    cached = folder / "bases" / f"{suite}.json"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps(asdict(_find_archive(suite)), indent=2))
    fields = json.loads(cached.read_text())
    return Archive(**fields | {"suites": tuple(fields["suites"])})


def container_image(folder: Path, suite: str, python: bool = False) -> Path:
    """A tar of a minimal Debian for ``docker import``, built if it is not there yet."""
    image = folder / "images" / f"{suite}{'-python' if python else ''}.tar"
    image.parent.mkdir(parents=True, exist_ok=True)
    with _locked(image.with_suffix(".lock")):
        if not image.exists():
            root, partial = image.with_suffix(".root"), image.with_suffix(".partial")
            shutil.rmtree(root, ignore_errors=True)
            _debootstrap(folder, suite, root, "python3-venv" if python else "")
            run("tar", "-C", root, "-cf", partial, ".", what=f"pack the {suite} image")
            shutil.rmtree(root)
            partial.rename(image)
    return image


def _there(needed: str) -> bool:
    return Path(needed).exists() if needed.startswith("/") else shutil.which(needed) is not None


def _build(folder: Path, suite: str, root: Path, include: str) -> None:
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _debootstrap(folder, suite, partial, include)
    for host_key in (partial / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()  # a host has its own
    (partial / "etc/apt/sources.list").unlink(missing_ok=True)
    sources = partial / "etc/apt/sources.list.d/debian.sources"
    sources.write_text(archive(folder, suite).sources())
    partial.rename(root)


def _debootstrap(folder: Path, suite: str, root: Path, include: str) -> None:
    log = folder / "bases" / f"{root.name}.log"
    argv = ["debootstrap", "--variant=minbase", suite, str(root), archive(folder, suite).uri]
    if include:
        argv.insert(1, f"--include={include}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as said:
        done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    if done.returncode:
        raise LabError(f"debootstrap could not build {suite}; its log is {log}")
    for leftover in (root / "var/cache/apt/archives").glob("*.deb"):
        leftover.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _find_archive(suite: str) -> Archive:
    """Read this machine's own apt sources; ask its mirror which suites it has."""
    uri, security_uri = "", ""
    for each, suites in _machine_sources():
        if suites[0].endswith("-security"):
            security_uri = security_uri or each
        elif "/" not in suites[0]:
            uri = uri or each
    if not uri:
        raise LabMissing("this machine's apt sources name no Debian archive to build hosts from")
    updates, security = f"{suite}-updates", f"{suite}-security"
    served = [each for each in (suite, updates) if _answers(f"{uri}/dists/{each}/InRelease")]
    if suite not in served:
        raise LabMissing(f"this machine's Debian archive does not serve {suite}")
    if not (security_uri and _answers(f"{security_uri}/dists/{security}/InRelease")):
        security_uri = security = ""
    return Archive(suite, uri, tuple(served), security_uri, security)


def _machine_sources() -> Iterator[tuple[str, list[str]]]:
    """URI and suites of each Debian source, from deb822 and one-line files."""
    apt = Path("/etc/apt")
    for file in sorted(apt.glob("sources.list.d/*.sources")):
        for stanza in file.read_text().split("\n\n"):
            lines = [line for line in stanza.splitlines() if ":" in line and line[0] not in "# "]
            fields = {key.strip(): value for key, _, value in (x.partition(":") for x in lines)}
            if "main" in fields.get("Components", "").split() and fields.get("Suites"):
                yield fields["URIs"].split()[0].rstrip("/"), fields["Suites"].split()
    for file in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        for line in file.read_text().splitlines() if file.exists() else []:
            words = [word for word in line.split() if not word.startswith("[")]
            if words[:1] == ["deb"] and "main" in words[3:]:
                yield words[1].rstrip("/"), [words[2]]


def _stanza(uri: str, suites: tuple[str, ...]) -> str:
    through_cache = uri.replace("https://", "http://HTTPS///")  # apt-cacher-ng's own notation
    return (
        f"Types: deb\nURIs: {through_cache}\nSuites: {' '.join(suites)}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


def _versions(index: str, package: str) -> Iterator[str]:
    for stanza in index.split("\n\n"):
        if stanza.startswith(f"Package: {package}\n"):
            yield stanza.partition("\nVersion: ")[2].partition("\n")[0]


def _newer(one: str, other: str) -> bool:
    return (
        subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode
        == 0
    )


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise LabError(f"this machine's Debian archive did not give {url}: {error}") from error


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30):
            return True
    except urllib.error.HTTPError:
        return False
    except OSError as error:
        raise LabMissing(f"this machine's Debian archive cannot be reached: {error}") from error
