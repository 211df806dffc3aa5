"""Packages of a layer that are installed, and what would go with them."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.packages.dpkg import QUERY
from gpurig.facts.packages.package_manager import MANAGER

# Names of packages by layer, as globs of dpkg and rpm; what only pins or carries a key is no layer.
LAYERS = {
    "driver": (
        "nvidia-driver*", "nvidia-open*", "nvidia-kernel-*", "nvidia-dkms*", "nvidia-kmod*",
        "kmod-nvidia*", "cuda-drivers*", "libcuda1*", "libnvidia-[!c]*", "libnvidia-cfg*",
        "libnvidia-compute*", "nvidia-alternative*", "nvidia-firmware*", "firmware-nvidia-*",
        "nvidia-fabricmanager*", "nvidia-persistenced", "nvidia-settings", "nvidia-smi",
        "nvidia-modprobe", "nvidia-support", "nvidia-installer-cleanup", "nvidia-legacy-check",
        "xserver-xorg-video-nvidia*", "linux-modules-nvidia-*",
    ),
    "cuda": (
        "cuda-toolkit*", "cuda-nvcc*", "cuda-[!dtk]*", "nvidia-cuda-toolkit*", "nvidia-cuda-dev",
        "libcudnn*", "nvidia-cudnn",
    ),
    "docker": (
        "docker.io", "docker-cli", "docker-ce", "docker-ce-cli", "docker-ce-rootless-extras",
        "containerd.io", "docker-buildx-plugin", "docker-compose-plugin",
    ),
    "container-toolkit": (
        "nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools",
        "libnvidia-container1",
    ),
}  # fmt: skip


class LayerPackages(TypedDict):
    """
    What is installed of a layer.

    + manager: ``apt`` or ``dnf``; packages: versions by name
    + takes: every package that the package manager would remove with these
    + held: those on hold
    """

    manager: str
    packages: dict[str, str]
    takes: list[str]
    held: list[str]


class InstalledLike(Always[LayerPackages]):
    """
    The packages whose names are like one of these, for a layer as in `LAYERS`.

    + globs: of names

    ``{"manager": "apt", "packages": {"docker.io": "26.1.5+dfsg1-9"}, "takes": ["docker.io"],
    "held": []}``
    """

    def command(self, globs: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, globs))
        return framed(
            f'{QUERY}{MANAGER} || exit 3; if [ "$m" = apt ]; then'
            " query -W -f '${Package} ${Version} ${db:Status-Want} ${db:Status-Status}\\n'"
            f" -- {words}; echo apt; p=$(printf '%s\\n' \"$known\" |"
            " sed -E '/(^| (config-files|not-installed))$/d');"
            ' printf "%s\\n" "$p" | sed -n "s/^\\([^ ]\\)/has \\1/p"; [ -n "$p" ] || exit 0;'
            " out=$(printf '%s\\n' \"$p\" | cut -d' ' -f1 | sort -u |"
            " LC_ALL=C command xargs apt-get -s -qq remove 2>&1) ||"
            ' { printf "%s\\n" "$out"; exit 4; };'
            ' printf "%s\\n" "$out" | sed -n "s/^Remv \\([^ ]*\\).*/takes \\1/p"; else echo dnf;'
            " must rpm -qa --qf 'has %{NAME} %{VERSION}-%{RELEASE} ok installed\\n'"
            f" -- {words}; fi"
        )

    def parse(self, lines: list[str], code: int) -> LayerPackages | Unknown:
        if code == 3:
            return Unknown("this host has neither apt nor dnf")
        if code:
            return Unknown(f"apt cannot say what it would remove: {(lines or [''])[-1]}")
        rows = [line.split() for line in lines[1:] if line]
        there = [row for row in rows if row[0] == "has"]
        takes = [row[1].partition(":")[0] for row in rows if row[0] == "takes"]
        return LayerPackages(
            manager=lines[0],
            packages={row[1]: row[2] for row in there},
            takes=sorted(set(takes) or {row[1] for row in there}),
            held=[row[1] for row in there if row[3] == "hold"],
        )
