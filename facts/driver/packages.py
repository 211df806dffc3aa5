"""The driver that is installed: whose it is, and the packages that brought it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.driver.versions import branch, upstream
from gpurig.facts.host.loader import LOADED
from gpurig.facts.packages.dpkg import QUERY
from gpurig.facts.packages.rpm import OWNED

# The packages of the driver, in Debian, in Ubuntu and in NVIDIA's repository, as globs. Left out:
# the container toolkit, what computes on top of the driver, nvidia-fs and nvidia-gds, and the
# packages that only pin (nvidia-driver-pinning-*).
FAMILY = (
    "nvidia-[!cdfg]*", "nvidia-driver", "nvidia-driver-[!p]*", "nvidia-detect", "nvidia-dkms*",
    "nvidia-compute-utils*", "nvidia-cuda-mps", "nvidia-fabricmanager*", "nvidia-firmware*",
    "libnvidia-[!c]*", "libnvidia-cfg*", "libnvidia-common*", "libnvidia-compute*",
    "libcuda1*", "libcudadebugger*", "libnvcuvid*", "libnvoptix*",
    "xserver-xorg-video-nvidia*", "cuda-drivers*", "firmware-nvidia-*",
    "glx-alternative-nvidia", "linux-modules-nvidia-*", "linux-objects-nvidia-*",
)  # fmt: skip
# Source packages whose packages are called like the driver's and are not.
OTHERS = ("nvidia-cuda-toolkit", "nvidia-cudnn", "nvidia-openjdk-8")
# Source packages that are the driver itself: all they build has its version.
OWN = ("nvidia-graphics-drivers", "nvidia-open-gpu-kernel-modules")

_MODULE = re.compile(
    r"nvidia-kernel(-open)?-dkms|nvidia-open-kernel-dkms"
    r"|nvidia-(tesla|legacy)(-\d+(xx)?)?(-open)?-kernel-dkms"
    r"|nvidia-dkms(-\d+)?(-server)?(-open)?|linux-modules-nvidia-\d+.*"
)
_LIBRARY = re.compile(r"libcuda1(-\d+)?|libnvidia-compute(-\d+)?(-server)?|libnvidia-.*-cuda1")
_THERE = ("installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
_LICENCES = {"Dual MIT/GPL": "open", "NVIDIA": "proprietary"}  # as in facts/driver/module.py

_DPKG = (
    QUERY + "query -W -f '"
    r"package ${Package}|${Architecture}|${Version}|${db:Status-Want}|${db:Status-Status}"
    r"|${source:Package}|${Maintainer}\n"
    f"' {' '.join(repr(glob) for glob in FAMILY)};"
    ' ! command -v dpkg >/dev/null || echo "native $(must dpkg --print-architecture)";'
    " printf '%s\\n' \"$known\" | sed '/|not-installed|/d'"
)
# A library that a container's host mounted in, or Windows, is nobody's installation here; nor is
# one that a person put where no installer of NVIDIA's puts any.
_RUNFILE = (
    LOADED
    + OWNED
    + r"""
for f in /usr/bin/nvidia-uninstall /usr/bin/nvidia-installer; do
    [ -e "$f" ] && echo "runfile $f"
done
set -- $(printf '%s\n' "$loaded" | sed -n 's/.*libcuda[.]so[.]1 .*=> //p')
for f in "$@"; do
    [ -e "$f" ] || continue
    r=$(readlink -f "$f")
    case $r in /usr/lib/wsl/*|/usr/local/*|/opt/*|/srv/*|/home/*|/root/*) continue ;; esac
    [ -z "$(f=$r awk '$5 == ENVIRON["f"]' /proc/self/mountinfo)" ] || continue
    if command -v dpkg-query >/dev/null; then
        query -S "$r"; [ -n "$known" ] || query -S "${r#/usr}"
        [ -n "$known" ]
    else
        command -v rpm >/dev/null && owned "$r"
    fi || echo "library $r"
done
license=$(! command -v modinfo >/dev/null || may modinfo -F license nvidia)
echo "license $license"
"""
)


class DriverPackage(TypedDict):
    """
    One installed package of the driver's family.

    + version: as dpkg writes it; source: ``distribution``, ``nvidia`` or ``other``
    + own: whether it has the driver's version, which a tool beside it has not
    + flavour: of the kernel module it brings, empty where it brings none
    """

    version: str
    source: str
    own: bool
    flavour: str
    held: bool


class Installed(TypedDict):
    """
    The driver on disk.

    + source: whose it is: ``distribution``, ``nvidia``, ``runfile`` or ``other``
    + packages: all that are installed of its family; held: those of them that are on hold
    """

    version: str
    flavour: str
    source: str
    packages: list[str]
    held: list[str]


class DriverPackages(Always[dict[str, DriverPackage]]):
    """
    The installed packages of the driver's family, by name; foreign architectures with theirs.

    ``{"libcuda1": {"version": "550.163.01-2", "source": "distribution", "own": True,
    "flavour": "", "held": False}}``
    """

    def command(self) -> StringCommand:
        return framed(f"command -v dpkg-query >/dev/null || exit 3; {_DPKG}; :")

    def parse(self, lines: list[str], code: int) -> dict[str, DriverPackage] | Unknown:
        if code == 3:
            return Unknown("this distribution has no dpkg")
        return _packages(lines)


class DriverInstalled(Fact[Installed]):
    """
    The driver whose kernel module packages or NVIDIA's .run file brought; ABSENT without one.

    Whose a package is stands in its Maintainer: NVIDIA's and Debian's names are partly the same.

    ``{"version": "550.163.01", "flavour": "proprietary", "source": "distribution",
    "packages": ["libcuda1", …, "nvidia-kernel-dkms"], "held": []}``
    """

    def command(self) -> StringCommand:
        return framed(f"{_DPKG}\n{_RUNFILE}")

    def parse(self, lines: list[str], code: int) -> Installed | Absent | Unknown:
        packages = _packages(lines)
        told = [(word, text) for word, _, text in (line.partition(" ") for line in lines)]
        libraries = [text.rpartition("libcuda.so.")[2] for word, text in told if word == "library"]
        licence = dict(told)["license"]
        if libraries or any(word == "runfile" for word, _ in told):
            version = libraries[0] if libraries else _version(packages)
            return _installed(packages, version, _LICENCES.get(licence, licence), "runfile")
        module = _module(packages)
        if module is None:
            return ABSENT
        version = upstream(module["version"]) or _version(packages)
        return _installed(packages, version, module["flavour"], module["source"])


def _installed(
    packages: dict[str, DriverPackage], version: str, flavour: str, source: str
) -> Installed:
    names = sorted(packages)
    held = [name for name in names if packages[name]["held"]]
    return Installed(version=version, flavour=flavour, source=source, packages=names, held=held)


def _module(packages: dict[str, DriverPackage]) -> DriverPackage | None:
    """The package of the module; where two are installed, the one that goes with the libraries."""
    modules = [packages[name] for name in sorted(packages) if packages[name]["flavour"]]
    version = _version(packages)
    fitting = [one for one in modules if upstream(one["version"]) == version]
    return next(iter([*fitting, *modules]), None)


def _packages(lines: Iterable[str]) -> dict[str, DriverPackage]:
    found: dict[str, DriverPackage] = {}
    native = ""
    for line in lines:
        word, _, text = line.partition(" ")
        if word == "native":
            native = text
        if word != "package":
            continue
        name, architecture, version, want, state, source, maintainer = text.split("|", 6)
        if state not in _THERE or source in OTHERS:
            continue
        whose = _whose(maintainer)
        is_own = source.startswith(OWN) or (whose == "nvidia" and bool(branch(version)))
        found[name if architecture in (native, "all") else f"{name}:{architecture}"] = (
            DriverPackage(
                version=version,
                source=whose,
                own=is_own,
                flavour=_flavour(name),
                held=want == "hold",
            )
        )
    return found


def _whose(maintainer: str) -> str:
    domain = "." + maintainer.rpartition("@")[2].rstrip("> ").lower()
    if domain.endswith(".nvidia.com"):
        return "nvidia"
    return "distribution" if domain.endswith((".debian.org", ".ubuntu.com")) else "other"


def _flavour(name: str) -> str:
    if not _MODULE.fullmatch(name):
        return ""
    return "open" if "-open" in name else "proprietary"


def _version(packages: dict[str, DriverPackage]) -> str:
    """The version of the libraries, empty without them."""
    libraries = (name for name in sorted(packages) if _LIBRARY.fullmatch(name))
    return next((upstream(packages[name]["version"]) for name in libraries), "")
