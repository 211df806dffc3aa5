"""Docker: how it was installed, what its daemon says of itself, which containers run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages.dpkg import QUERY

# The system's own daemon: root's `docker context` or DOCKER_HOST may point to another one.
DOCKER = "docker --host unix:///run/docker.sock"


# Shell: whether docker.service runs. It ends with 3 and 4 for "no"; any other is no answer.
RUNS = (
    "{ [ -d /run/systemd/system ] && { systemctl is-active --quiet docker.service 2>/dev/null;"
    " case $? in 0) ;; 3|4) false ;; *) failed systemctl $? ;; esac; }; }"
)
CLIENT = "tool docker docker.io docker-cli docker-ce-cli moby-engine"


class Installed(TypedDict):
    """
    The installed Docker.

    + package, version: as the package manager names them
    + source: ``distribution`` (docker.io, moby-engine) or ``docker`` (docker-ce)
    """

    package: str
    version: str
    source: str


_SOURCES = {"docker.io": "distribution", "moby-engine": "distribution", "docker-ce": "docker"}


class DockerInstalled(Fact[Installed]):
    """
    The Docker that is installed, whoever packaged it.

    ``{"package": "docker.io", "version": "26.1.5+dfsg1-9", "source": "distribution"}``;
    ABSENT when there is none; Unknown where Docker comes in a way that has another daemon.json,
    another engine, or two of them.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{QUERY}query -W -f '${{db:Status-Status}} package ${{Package}} ${{Version}}\\n'"
            f" {' '.join(_SOURCES)} podman-docker; printf '%s\\n' \"$known\" | sed -n -E"
            " -e 's/^half-installed package/half/p'"
            " -e 's/^(installed|unpacked|half-configured|triggers-[a-z]+) //p';"
            " for f in /snap/bin/docker /usr/local/bin/dockerd;"
            ' do [ ! -e "$f" ] || echo "file $f"; done;'
            ' f=$(command -v dockerd) && echo "dockerd $f"; :'
        )

    def parse(self, lines: list[str], code: int) -> Installed | Absent | Unknown:
        rows = [line.split() for line in lines if line]
        packages = {row[1]: row[2] for row in rows if row[0] == "package"}
        files = [row[1] for row in rows if row[0] == "file"]
        if why := _unclear(packages, files):
            return Unknown(why)
        for package, version in packages.items():
            return Installed(package=package, version=version, source=_SOURCES[package])
        by_hand = _by_hand(rows)
        return Unknown(f"{by_hand} belongs to no package that gpurig knows") if by_hand else ABSENT


def _unclear(packages: Mapping[str, str], files: Sequence[str]) -> str:
    """Why it cannot be told which Docker this is, in a sentence; else empty."""
    if "/snap/bin/docker" in files:
        return (
            "Docker is a snap here (/snap/bin/docker), with its own"
            " daemon.json and without the NVIDIA runtime. Remove the"
            " snap first; this deletes its images"
        )
    if "podman-docker" in packages:
        return "the command docker is Podman here (package podman-docker)"
    if len(packages) > 1:
        return f"two packagings of Docker are installed: {' and '.join(packages)}"
    if packages and files:
        return f"Docker is installed twice: {next(iter(packages))} and {files[0]}"
    return ""


def _by_hand(rows: list[list[str]]) -> str:
    """The dockerd that no package brought; empty without one."""
    # What an interrupted dpkg left half unpacked or half removed is none, and no stranger's.
    if any(row[0] == "half" for row in rows):
        return ""
    return next((row[1] for row in rows if row[0] == "dockerd"), "")


class DockerClient(Fact[str]):
    """Where the command ``docker`` is, which some packagings have apart; ABSENT without it."""

    def command(self) -> StringCommand:
        return framed(f"{CLIENT} || exit 3; command -v docker")

    def parse(self, lines: list[str], code: int) -> str | Absent | Unknown:
        return ABSENT if code else lines[0]


class Daemon(TypedDict):
    """
    What a running dockerd tells of its configuration.

    + runtimes: name → path (empty for shim types); default_runtime: one of these names
    + cdi_spec_dirs: empty when CDI is off; containers_running: with paused ones
    """

    version: str
    runtimes: dict[str, str]
    default_runtime: str
    cdi_spec_dirs: list[str]
    live_restore: bool
    log_driver: str
    data_root: str
    storage_driver: str
    debug: bool
    labels: list[str]
    registry_mirrors: list[str]
    containers_running: int


class DockerInfo(Fact[Daemon]):
    """
    What the running daemon uses, by value.

    ABSENT when docker.service does not run: its socket is not asked then, since that starts it.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{RUNS} || exit 3; {CLIENT} || exit 4;"
            f" timeout 20 {DOCKER} info --format '{{{{json .}}}}'"
        )

    def parse(self, lines: list[str], code: int) -> Daemon | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code == 4:
            return Unknown("the host has no command docker")
        said = first_object(lines)
        if code or not said.get("ServerVersion"):
            errors = "".join(f": {error}" for error in said.get("ServerErrors") or [])
            return Unknown(f"dockerd does not answer{errors}")
        runtimes = {name: _path(entry) for name, entry in said["Runtimes"].items()}
        return Daemon(
            version=said["ServerVersion"],
            runtimes=runtimes,
            default_runtime=said["DefaultRuntime"],
            cdi_spec_dirs=said.get("CDISpecDirs") or [],
            live_restore=said["LiveRestoreEnabled"],
            log_driver=said["LoggingDriver"],
            data_root=said["DockerRootDir"],
            storage_driver=said["Driver"],
            debug=said["Debug"],
            labels=said.get("Labels") or [],
            registry_mirrors=within(said, "RegistryConfig", "Mirrors") or [],
            containers_running=said["ContainersRunning"] + said["ContainersPaused"],
        )


def first_object(lines: list[str]) -> dict[str, Any]:
    """The first line that begins an object of JSON, empty without one."""
    found: dict[str, Any] = next((json.loads(line) for line in lines if line[:1] == "{"), {})
    return found


def within(said: dict[str, Any], *keys: str) -> Any:
    """What stands under these keys, each in the one before; None where docker leaves it out."""
    found: Any = said
    for key in keys:
        found = (found or {}).get(key)
    return found


def _path(entry: Any) -> str:
    return str(entry.get("path") or "") if isinstance(entry, dict) else ""


class RestartPolicies(Fact[dict[str, str]]):
    """
    What becomes of each running container when Docker is restarted.

    ``{"db": "always", "mine": "no"}``; ABSENT when docker.service does not run.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{RUNS} || exit 3;"
            f" ids=$(timeout 20 {DOCKER} ps --quiet) || exit 4; set -- $ids; [ $# = 0 ] ||"
            f" may timeout 20 {DOCKER} inspect --format"  # one that has ended is not found
            " '{{.HostConfig.RestartPolicy.Name}} {{.Name}}' \"$@\"; :"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("docker ps does not answer")
        rows = (line.partition(" /") for line in lines if " /" in line)
        return {name: policy or "no" for policy, _, name in rows}


class StoppedContainers(Fact[list[str]]):
    """
    Containers that somebody stopped and that Docker starts no more by itself.

    That is what ``restart=unless-stopped`` means. ``["web"]``; ABSENT when docker.service does not
    run.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{RUNS} || exit 3; ids=$(timeout 20 {DOCKER} ps --quiet --filter status=exited) ||"
            " exit 4; set -- $ids; [ $# = 0 ] ||"
            f" may timeout 20 {DOCKER} inspect --format"  # one that has been removed is not found
            " '{{.HostConfig.RestartPolicy.Name}} {{.Name}}' \"$@\"; :"
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("docker ps does not answer")
        rows = (line.strip().partition(" /") for line in lines)
        return sorted(name for policy, _, name in rows if policy == "unless-stopped")


class Container(TypedDict):
    """A running container: its full id, its name and its image as it was asked for."""

    id: str
    name: str
    image: str


class RunningContainers(Fact[list[Container]]):
    """
    The containers that run.

    ``[{"id": "db00fa74…", "name": "mine", "image": "base:latest"}]``; ABSENT when docker.service
    does not run.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{RUNS} || exit 3; timeout 20 {DOCKER} ps --no-trunc --format '{{{{json .}}}}'"
        )

    def parse(self, lines: list[str], code: int) -> list[Container] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown("docker ps does not answer")
        rows = [json.loads(line) for line in lines if line[:1] == "{"]
        return [Container(id=row["ID"], name=row["Names"], image=row["Image"]) for row in rows]
