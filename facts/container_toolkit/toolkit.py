"""NVIDIA's container toolkit: its packages and its configuration."""

from __future__ import annotations

import sys
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = "/etc/nvidia-container-runtime/config.toml"

# One set, released together; the upper two depend on the others at their own version.
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)


class ToolkitPackages(Always[dict[str, str]]):
    """
    The installed packages of the container toolkit with their versions.

    ``{"nvidia-container-toolkit": "1.20.0-1", …}``; a package that is missing has no key.
    """

    def command(self) -> StringCommand:
        return framed(
            "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n'"
            f" {' '.join(PACKAGES)} 2>/dev/null | sed -n 's/^installed //p'"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Unknown:
        return dict(line.split(" ", 1) for line in lines if line)


class ToolkitVersion(Fact[str]):
    """What ``nvidia-ctk`` says its version is, ``"1.20.0"``; ABSENT without it."""

    def command(self) -> StringCommand:
        return framed("command -v nvidia-ctk >/dev/null || exit 3; nvidia-ctk --version")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        if code == 3:
            return ABSENT
        versions = [line.split()[-1] for line in lines if "version" in line]
        return versions[0] if versions and not code else Unknown("nvidia-ctk --version failed")


class ToolkitConfigFile(TypedDict):
    """
    The toolkit's config.toml.

    + text: as it is; mode: how ``nvidia-container-runtime`` works, ``auto`` where it is not said
    + ldconfig: what it runs to find libraries, empty where it is not said
    + ldconfig_found: the host's own, ``/sbin/ldconfig.real`` (Ubuntu) or ``/sbin/ldconfig``
    + ldconfig_exists: whether the file that is named is there
    """

    text: str
    mode: str
    ldconfig: str
    ldconfig_found: str
    ldconfig_exists: bool


class ToolkitConfig(Fact[ToolkitConfigFile]):
    """The toolkit's config.toml; ABSENT when there is none and its built-in defaults count."""

    def command(self) -> StringCommand:
        return framed(
            f'f={CONFIG}; [ -e "$f" ] || exit 3;'
            " for l in /sbin/ldconfig.real /sbin/ldconfig; do [ ! -x $l ] || break; done;"
            ' echo "$l"; n=$(sed -n "s/^ *ldconfig *= *[\\"\']@\\{0,1\\}\\([^\\"\']*\\).*/\\1/p"'
            ' "$f" | head -1);'
            ' if [ -x "$n" ]; then echo there; else echo gone; fi; cat "$f"'
        )

    def parse(self, lines: list[str], code: int) -> ToolkitConfigFile | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{CONFIG} cannot be read")
        text = "\n".join(lines[2:]) + "\n"
        try:
            said: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            return Unknown(f"{CONFIG} is not valid TOML: {error}")
        return ToolkitConfigFile(
            text=text,
            mode=said.get("nvidia-container-runtime", {}).get("mode", "auto"),
            ldconfig=said.get("nvidia-container-cli", {}).get("ldconfig", ""),
            ldconfig_found=lines[0],
            ldconfig_exists=lines[1] == "there",
        )
