"""Which distribution this is."""

from __future__ import annotations

from tempfile import NamedTemporaryFile
from typing import TypedDict

from distro import LinuxDistribution
from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown


class OsRelease(TypedDict):
    """os-release(5) in short; ``version`` and ``codename`` are empty on rolling releases."""

    id: str
    version: str
    codename: str
    name: str
    like: list[str]


class System(OsRelease):
    """Also ``image``: ``ostree`` where the system is an image, to which no package is added."""

    image: str


class Distribution(Fact[System]):
    """
    The distribution, as os-release(5) names it and the ``distro`` package reads it.

    ``{"id": "debian", "version": "13", "codename": "trixie", "name": "Debian GNU/Linux 13
    (trixie)", "like": [], "image": ""}``. macOS, which has no os-release, is told by its own
    sw_vers: ``{"id": "macos", "version": "15.1", "codename": "", "name": "macOS 15.1", …}``.
    ABSENT where there is neither.
    """

    def command(self) -> StringCommand:
        return framed(
            "[ ! -e /run/ostree-booted ] || echo GPURIG_IMAGE=ostree;"
            " for f in /etc/os-release /usr/lib/os-release; do"
            ' [ ! -e "$f" ] || { cat "$f"; exit; }; done; sw_vers 2>&1'
        )

    def parse(self, lines: list[str], code: int) -> System | Absent | Unknown:
        if code:
            return ABSENT
        if lines and lines[0].startswith("ProductName:"):
            return _macos(lines)
        with NamedTemporaryFile("w", encoding="utf-8") as file:  # distro only reads files
            file.write("\n".join(lines) + "\n")
            file.flush()
            release = LinuxDistribution(include_lsb=False, os_release_file=file.name)
            said = release.os_release_info()
        if not said.get("id"):
            return Unknown("os-release has no ID")
        return {
            "id": said["id"],
            "version": said.get("version_id", ""),
            "codename": said.get("codename", ""),
            "name": said.get("pretty_name") or said.get("name") or said["id"],
            "like": said.get("id_like", "").split(),
            "image": said.get("gpurig_image", ""),
        }


def _macos(lines: list[str]) -> System:
    said = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    version = said["ProductVersion"]
    return {
        "id": "macos",
        "version": version,
        "codename": "",
        "name": f"{said['ProductName']} {version}",  # Mac OS X until 10.15
        "like": [],
        "image": "",
    }
