"""The four packages of the container toolkit, made of the files beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ...debs import make_deb

VERSIONS = ("1.19.1", "1.20.0")
HERE = Path(__file__).parent
RUNTIME = "nvidia-container-runtime"
PARTS = ("say", "json", "yaml", "driver", "specs", "config")
HEAD = """#!/usr/bin/perl
# The gpurig lab's stand-in of a program of NVIDIA's. Perl, since a lab host has no Python.
use v5.36;
use Cwd ();
use File::Basename ();
use File::Path ();
use POSIX ();
my $VERSION = '@VERSION@';
"""
BASE_POSTINST = """#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
nvidia-ctk --quiet config --config-file=/etc/nvidia-container-runtime/config.toml --in-place
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || :
systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service || :
"""
LINK = "/usr/bin/nvidia-container-toolkit"
POSTINST = f'#!/bin/sh\n[ "$1" != configure ] || ln -sf /usr/bin/{RUNTIME}-hook {LINK}\n'
POSTRM = f'#!/bin/sh\n[ "$1" != purge ] || rm -f {LINK}\n'
REFRESH_ENV = "# NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml\n"
UDEV = "# The lab has no udev.\n"
OLD = f"{RUNTIME} (<= 3.5.0-1), {RUNTIME}-hook"
BASE, UPPER = "nvidia-container-toolkit-base", "nvidia-container-toolkit"
TOOLS, LIBRARY = "libnvidia-container-tools", "libnvidia-container1"


def digest() -> str:
    """What the packages are made of, as one value: the repository is made again if it differs."""
    made_of = b"".join(file.read_bytes() for file in sorted(HERE.glob("*.*")))
    return hashlib.sha256(made_of).hexdigest()


def build(folder: Path, versions: Sequence[str] = VERSIONS) -> list[Path]:
    """Build the four packages of each version."""
    return [
        make_deb(folder, name, f"{version}-1", fields, files(version).get(name))
        for version in versions
        for name, fields in relations(f"{version}-1").items()
    ]


def relations(version: str) -> dict[str, dict[str, str]]:
    """What each package demands of others, by its name."""
    same = f"{BASE} (= {version}), {TOOLS} (= {version}), {TOOLS} (<< 2.0.0)"
    return {
        LIBRARY: {},
        TOOLS: {"Depends": f"{LIBRARY} (>= {version})"},
        BASE: {"Breaks": OLD, "Replaces": OLD},
        UPPER: {"Depends": same, "Breaks": OLD},
    }


def files(version: str) -> dict[str, dict[str, str]]:
    """The files of the packages that have any, by package and path; scripts of dpkg's as well."""
    runtime = _program(RUNTIME, version)
    units = ("nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path")
    return {
        BASE: {
            "usr/bin/nvidia-ctk": _program("nvidia-ctk", version),
            **{f"usr/bin/{RUNTIME}{mode}": runtime for mode in ("", ".cdi", ".legacy")},
            "usr/bin/nvidia-cdi-hook": _script("nvidia-cdi-hook", version),
            "etc/nvidia-container-toolkit/nvidia-cdi-refresh.env": REFRESH_ENV,
            **{f"lib/systemd/system/{unit}": (HERE / unit).read_text() for unit in units},
            "lib/udev/rules.d/99-nvidia-cdi-refresh.rules": UDEV,
            "DEBIAN/postinst": BASE_POSTINST,
        },
        UPPER: {
            f"usr/bin/{RUNTIME}-hook": _script(f"{RUNTIME}-hook", version),
            "DEBIAN/postinst": POSTINST,
            "DEBIAN/postrm": POSTRM,
        },
    }


def _program(name: str, version: str) -> str:
    """A program: the parts and its own file as one, so that the packages need no module."""
    parts = {part: (HERE / f"{part}.pl").read_text() for part in (*PARTS, name)}
    text = "".join(f'# line 1 "{part}.pl"\n{lines}' for part, lines in parts.items())
    return HEAD.replace("@VERSION@", version) + text + "main(@ARGV);\n"


def _script(name: str, version: str) -> str:
    return (HERE / f"{name}.sh").read_text().replace("@VERSION@", version)
