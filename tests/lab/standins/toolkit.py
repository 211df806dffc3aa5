"""NVIDIA's container toolkit as its four packages, made of the program ``toolkit.pl``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..debs import make_deb

VERSIONS = ("1.19.1", "1.20.0")
PROGRAM = Path(__file__).with_name("toolkit.pl")
NAMES = (
    "nvidia-cdi-hook",
    "nvidia-container-runtime",
    "nvidia-container-runtime.cdi",
    "nvidia-container-runtime.legacy",
)
SERVICE = """[Unit]
Description=gpurig lab: renews the CDI spec as NVIDIA's unit does
ConditionPathExists=/usr/bin/nvidia-ctk
ConditionPathExists=/usr/bin/nvidia-smi
StartLimitIntervalSec=10s
StartLimitBurst=5

[Service]
Type=oneshot
Environment=NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml
EnvironmentFile=-/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env
ExecCondition=/bin/grep -q -F -e /nvidia.ko -e /nvidia-current.ko /lib/modules/%v/modules.dep
ExecStart=/usr/bin/nvidia-smi -L
ExecStart=/usr/bin/nvidia-ctk cdi generate
Restart=on-failure
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""
WATCH = """[Unit]
Description=gpurig lab: starts the renewal of the CDI spec

[Path]
PathChanged=/usr/bin/nvidia-ctk
PathChanged=/lib/modules/%v/modules.dep
PathChanged=/lib/modules/%v/modules.dep.bin

[Install]
WantedBy=multi-user.target
"""
BASE_POSTINST = """#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
nvidia-ctk --quiet config --config-file=/etc/nvidia-container-runtime/config.toml --in-place
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || :
systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service || :
"""

HOOK = """#!/bin/sh
echo 'exec: "nvidia-container-cli": executable file not found in $PATH' >&2
exit 1
"""
REFRESH_ENV = "# NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml\n"
OLD = "nvidia-container-runtime (<= 3.5.0-1), nvidia-container-runtime-hook"


def digest() -> str:
    """What the packages are made of, as one value: the repository is made again if it differs."""
    made_of = PROGRAM.read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(made_of).hexdigest()


def packages(folder: Path, versions: Sequence[str]) -> list[Path]:
    """Build the four packages of each version."""
    return [deb for version in versions for deb in _packages(folder, version)]


def _packages(folder: Path, version: str) -> list[Path]:
    full = f"{version}-1"
    program = PROGRAM.read_text().replace("$VERSION = '1.20.0'", f"$VERSION = '{version}'")
    needs = f"nvidia-container-toolkit-base (= {full}), libnvidia-container-tools (= {full})"
    return [
        make_deb(folder, "libnvidia-container1", full),
        make_deb(
            folder, "libnvidia-container-tools", full, depends=f"libnvidia-container1 (>= {full})"
        ),
        make_deb(
            folder,
            "nvidia-container-toolkit-base",
            full,
            {"Depends": "perl-base", "Breaks": OLD, "Replaces": OLD},
            {
                "usr/bin/nvidia-ctk": program,
                "etc/nvidia-container-toolkit/nvidia-cdi-refresh.env": REFRESH_ENV,
                "lib/systemd/system/nvidia-cdi-refresh.service": SERVICE,
                "lib/systemd/system/nvidia-cdi-refresh.path": WATCH,
                "DEBIAN/postinst": BASE_POSTINST,
            },
            {f"usr/bin/{name}": "nvidia-ctk" for name in NAMES},
        ),
        make_deb(
            folder,
            "nvidia-container-toolkit",
            full,
            {"Depends": f"{needs}, libnvidia-container-tools (<< 2.0.0)", "Breaks": OLD},
            {"usr/bin/nvidia-container-runtime-hook": HOOK},
        ),
    ]
