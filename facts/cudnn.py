"""cuDNN: the libraries that the loader finds, Debian's downloader, and what apt could install."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed, words
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.host.loader import LOADED
from gpurig.facts.packages.dpkg import QUERY

PREFERENCES = "/etc/apt/preferences.d/gpurig-cudnn"


class Library(TypedDict):
    """
    One cuDNN library.

    + path: as the loader finds it; version: of its file name, ``9.10.2``
    + package: that brought it, or empty
    """

    path: str
    version: str
    package: str


class CudnnLibraries(Always[list[Library]]):
    """
    The libcudnn.so.N that the loader finds, in its order; empty where it finds none.

    ``[{"path": "/lib/x86_64-linux-gnu/libcudnn.so.9", "version": "9.10.2",
    "package": "libcudnn9-cuda-12"}]``
    """

    def command(self) -> StringCommand:
        return framed(
            f"{LOADED}{QUERY}printf '%s\\n' \"$loaded\" |"
            " sed -n 's/.*libcudnn[.]so[.][0-9.]* .*=> //p' | while read -r f; do"
            ' [ -e "$f" ] || continue; r=$(readlink -e "$f");'
            ' query -S "$r"; p=$(printf "%s\\n" "$known" | head -n 1 | cut -d: -f1);'
            ' echo "$f|${r##*.so.}|$p"; done'
        )

    def parse(self, lines: list[str], code: int) -> list[Library] | Unknown:
        found = []
        for line in lines:
            path, version, package = line.split("|")
            found.append(Library(path=path, version=version, package=package))
        return found


class Downloader(TypedDict):
    """
    Debian's package nvidia-cudnn, which brings no library but a program that fetches one.

    + version: of the package, with that of the library in it; state: as dpkg has it
    + library: whether what it was to fetch is there
    """

    version: str
    state: str
    library: bool


class CudnnDownloader(Fact[Downloader]):
    """
    Debian's nvidia-cudnn; ABSENT where it is not installed.

    ``{"version": "9.0.0.312~cuda12", "state": "installed", "library": False}``: it asks for a yes
    to NVIDIA's licence, and without one, or without a way out, it is there and its library is not.
    """

    def command(self) -> StringCommand:
        form = r"${Version}|${db:Status-Status}\n"
        # It links libcudnn.so itself, to a file that is there only after the download.
        return framed(
            f"{QUERY}query -W -f '{form}' nvidia-cudnn; case $known in"
            " ''|*'|not-installed'|*'|config-files') exit 3 ;; esac; printf '%s\\n' \"$known\";"
            ' for f in /usr/lib/*-linux-gnu*/libcudnn.so.*.*; do [ -e "$f" ] || continue;'
            ' query -S "$f"; [ -n "$known" ] || { echo library; break; }; done'
        )

    def parse(self, lines: list[str], code: int) -> Downloader | Absent | Unknown:
        if code == 3:
            return ABSENT
        version, state = lines[0].split("|")
        return Downloader(version=version, state=state, library="library" in lines[1:])


class CudnnOffers(Always[dict[str, list[str]]]):
    """
    The versions of packages that apt could install now, newest first.

    + packages: names, separated by blanks

    ``{"libcudnn9-cuda-12": ["9.28.0.51-1", "9.10.2.21-1"]}``; a name that apt does not know is not
    in it.
    """

    def command(self, packages: str) -> StringCommand:
        return framed(
            "command -v apt-cache >/dev/null || exit 3;"
            f" LC_ALL=C must apt-cache madison {words(packages)} 2>/dev/null; :"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, list[str]] | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        found: dict[str, list[str]] = {}
        for line in lines:
            name, version, source = (word.strip() for word in line.split("|"))
            if source.endswith("Packages") and version not in found.setdefault(name, []):
                found[name].append(version)
        return found


class CudnnPin(Fact[str]):
    """
    The version at which gpurig's own preferences keep cuDNN, ``9.10.2.21-1``.

    ABSENT without the file; empty where it says something else.
    """

    def command(self) -> StringCommand:
        return framed(f"[ -e {PREFERENCES} ] || exit 3; cat {PREFERENCES} || exit 4")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{PREFERENCES} cannot be read")
        pins = [line.removeprefix("Pin: version ") for line in lines if line.startswith("Pin: ")]
        strong = "Pin-Priority: 1001" in lines
        return pins[0].strip() if len(pins) == 1 and strong else ""
