"""NVIDIA's container toolkit: its packages and its configuration."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages.dpkg import QUERY

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
            f"{QUERY}query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n'"
            f" {' '.join(PACKAGES)}; printf '%s\\n' \"$known\" | sed -n 's/^installed //p'"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Unknown:
        return dict(line.split(" ", 1) for line in lines if line)


# What the packages bring into dockerd's PATH, and what dockerd finds by that name.
_PROGRAMS = r"""
tool dpkg-query dpkg || exit 0
for package in $PACKAGES; do may dpkg-query -L "$package"; done |
    sed -n 's,^/usr/bin/,,p' | sort -u | while read -r name; do
        file=/usr/bin/$name
        if [ ! -s "$file" ] || [ ! -f "$file" ]; then echo "missing $file"
        elif [ ! -x "$file" ]; then echo "closed $file"; fi
        for folder in /usr/local/sbin /usr/local/bin /usr/sbin; do
            [ ! -x "$folder/$name" ] || [ "$(readlink -f "$folder/$name")" = \
                "$(readlink -f "$file")" ] || echo "before $folder/$name"
        done
    done
"""


class Programs(TypedDict):
    """
    What is wrong with the toolkit's programs.

    + missing: those that are gone or empty; closed: those that cannot be run
    + before: others of the same name that dockerd finds first
    """

    missing: list[str]
    closed: list[str]
    before: list[str]


class ToolkitPrograms(Always[Programs]):
    """
    The programs of the toolkit's packages, by dpkg's own lists.

    ``{"missing": [], "closed": ["/usr/bin/nvidia-container-runtime"], "before": []}``
    """

    def command(self) -> StringCommand:
        return framed(_PROGRAMS.replace("$PACKAGES", " ".join(PACKAGES)))

    def parse(self, lines: list[str], code: int) -> Programs | Unknown:
        found = Programs(missing=[], closed=[], before=[])
        kinds = {"missing": found["missing"], "closed": found["closed"], "before": found["before"]}
        for line in lines:
            word, _, path = line.partition(" ")
            kinds[word].append(path)
        return found


class ToolkitVersion(Fact[str]):
    """What ``nvidia-ctk`` says its version is, ``"1.20.0"``; ABSENT without it."""

    def command(self) -> StringCommand:
        return framed(
            "tool nvidia-ctk nvidia-container-toolkit-base || exit 3; nvidia-ctk --version"
        )

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
    + faults: what else in it keeps GPUs from containers, in sentences
    """

    text: str
    mode: str
    ldconfig: str
    ldconfig_found: str
    ldconfig_exists: bool
    faults: list[str]


class ToolkitConfig(Fact[ToolkitConfigFile]):
    """The toolkit's config.toml; ABSENT when there is none and its built-in defaults count."""

    def command(self) -> StringCommand:
        return framed(
            f'f={CONFIG}; [ -e "$f" ] || exit 3;'
            " for l in /sbin/ldconfig.real /sbin/ldconfig; do [ ! -x $l ] || break; done;"
            ' echo "$l"; n=$(sed -n "s/^ *ldconfig *= *[\\"\']@\\{0,1\\}\\([^\\"\']*\\).*/\\1/p"'
            ' "$f" | head -n 1);'
            ' if [ -x "$n" ]; then echo there; else echo gone; fi;'
            # what stands between quotes and is a path or a program here
            " PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;"
            " sed 's/#.*//' \"$f\" |"
            ' tr "\\"\\047" "\\n\\n" | sort -u | while read -r w; do'
            ' if [ -e "$w" ] || command -v -- "$w" >/dev/null; then echo "there $w"; fi; done;'
            ' echo "="; cat "$f"'
        )

    def parse(self, lines: list[str], code: int) -> ToolkitConfigFile | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"{CONFIG} cannot be read")
        end = lines.index("=")
        there = {line.removeprefix("there ") for line in lines[2:end]}
        text = "\n".join(lines[end + 1 :]) + "\n"
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
            faults=list(_faults(said, there)),
        )


def _faults(said: dict[str, Any], there: Container[str]) -> Iterator[str]:
    """What of a config.toml's other keys keeps GPUs from containers."""
    cli, runtime = said.get("nvidia-container-cli", {}), said.get("nvidia-container-runtime", {})
    runtimes = runtime.get("runtimes", [])
    if runtimes and not any(one in there for one in runtimes):
        yield f"runtimes names {', '.join(runtimes)}, and the host has none of them"
    folders = runtime.get("modes", {}).get("cdi", {}).get("spec-dirs")
    if folders is not None and not {folder.rstrip("/") for folder in folders} & _SPECS:
        yield f"spec-dirs is {', '.join(folders) or 'empty'}, where the CDI spec is not"
    for table, key in _PATHS:
        named = said.get(table, {}).get(key, "")
        if named and named not in there:
            yield f"{key} in [{table}] is {named}, which does not exist"
    if cli.get("no-cgroups") is True:
        yield "no-cgroups is true, so --gpus gives no container of the system's Docker a GPU"
    allowed = said.get("supported-driver-capabilities", "all").split(",")
    if lost := sorted({"compute", "utility"} - set(allowed)) if "all" not in allowed else []:
        yield f"supported-driver-capabilities has no {' and no '.join(lost)}"


_SPECS = {"/etc/cdi", "/var/run/cdi", "/run/cdi"}
_PATHS = (
    ("nvidia-container-cli", "path"),
    ("nvidia-container-cli", "root"),
    ("nvidia-container-runtime-hook", "path"),
    ("nvidia-ctk", "path"),
)
