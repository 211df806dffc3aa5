"""Horovod: compiled once for all hosts that are alike, then installed as a wheel."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from hashlib import sha256
from io import BytesIO
from typing import Any

from pyinfra.api import FileDownloadCommand, FileUploadCommand, FunctionCommand, StringCommand

from gpurig.contract.attended import Attended
from gpurig.contract.known import known
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT, Absent
from gpurig.facts.environments.environment import EnvironmentContents
from gpurig.facts.environments.horovod import FOLDER, BuildLeft
from gpurig.facts.host.distribution import Distribution
from gpurig.operations.environments.horovod_build import CLEARED, compiled
from gpurig.operations.environments.uv import UV, Downloads, surroundings
from gpurig.operations.shared import ownership
from gpurig.wheels import horovod, locks
from gpurig.wheels.horovod import Build

Command = StringCommand | FileUploadCommand | FileDownloadCommand | FunctionCommand
Commands = Generator[Command, None, None]
_Made = Generator[Command, None, bytes]  # ends with the wheel


@keeps("environment.{title}.horovod")
def wheel(title: str, path: str, build: Build, downloads: Downloads) -> Commands:
    """
    Horovod is there, whole, and compiled against exactly the framework beside it.

    + title: the environment's name; path: its folder; downloads: how the source is fetched

    The first host compiles it, as nobody in particular, and the control machine keeps the wheel
    for the others. What was installed for that goes again, also after a build that was cut off.
    """
    ownership.root_alone("environments.folders", path.rpartition("/")[0])
    contents, left = known(EnvironmentContents, path=path), known(BuildLeft)
    system = known(Distribution)
    if not contents or contents["changing"] or contents["python"] != build.python:
        return follows(f"environment.{title}.interpreter")
    if system is ABSENT:
        return unknown("which distribution this is cannot be read")
    there = {locks.normalised(name): v for name, v in contents["installed"].items()}
    if there.get(build.base) != build.base_version:
        return follows(f"environment.{title}.packages")
    wrong = _wrong(there.get("horovod"), "horovod" in contents["broken"], build)
    if not wrong and left is ABSENT:
        return holds(f"Horovod {build.release}, built for {build.against}")
    place = f"{system['id']}-{system['version']}"
    if not wrong:
        drift(
            actual=f"a build that was cut off left {_listed(left)}",
            wanted="no files of a build",
            will="remove it",
        )
        yield StringCommand(f"{CLEARED}cleared")
        return
    drift(
        actual=wrong,
        wanted=f"built for {build.against}",
        will="install the wheel that was built for such hosts"
        if horovod.kept(build, place)
        else "build it once for all such hosts, and install it",
    )
    yield FunctionCommand(_turn, (build, place), {})
    made = horovod.kept(build, place)
    if made is None:
        made = yield from _built(path, build, place, downloads)
    yield from _installed(path, build, made)


def _wrong(version: str | None, broken: bool, build: Build) -> str:
    """What is not right about the Horovod of this version, or nothing."""
    if version is None:
        return "no Horovod"
    if version != build.version:
        return f"Horovod {version}"
    return "files of Horovod missing or changed" if broken else ""


def _listed(left: list[str] | Absent) -> str:
    return ", ".join(left[:4]) if left else FOLDER


def _turn(state: object, host: Any, build: Build, place: str) -> None:
    """Called with these two, pyinfra stays in the host's own greenlet, which the turn goes by."""
    horovod.take_turns(build, place, host.connector.answers)


def _built(path: str, build: Build, place: str, downloads: Downloads) -> _Made:
    """Compile the wheel on this host and keep it on the control machine."""
    yield StringCommand(f"{CLEARED}cleared && mkdir -p {FOLDER}")
    yield FileUploadCommand(BytesIO(build.patches.encode()), f"{FOLDER}/patches")
    source = f"horovod=={build.release} --hash=sha256:{build.sha256}\n"
    yield FileUploadCommand(BytesIO(source.encode()), f"{FOLDER}/source")
    yield from surroundings(downloads)
    yield Attended(compiled(path, build))
    made = BytesIO()
    yield FileDownloadCommand(f"{FOLDER}/{build.wheel}", made)
    horovod.keep(build, place, made.getvalue())
    return made.getvalue()


def _installed(path: str, build: Build, wheel: bytes) -> Commands:
    """Install the wheel, whose hash is compared again on the host."""
    yield StringCommand(f"{CLEARED}cleared && mkdir -p {FOLDER}")
    yield FileUploadCommand(BytesIO(wheel), f"{FOLDER}/{build.wheel}")
    folder, cache = shlex.quote(path), f"{FOLDER}/cache"
    site = f"{folder}/lib/python{build.python}/site-packages"
    # Removed first: uv cannot replace a distribution that has lost its RECORD.
    yield StringCommand(
        f"cd {FOLDER} &&"
        f" echo '{sha256(wheel).hexdigest()}  {build.wheel}' | sha256sum --check --status &&"
        f" rm -rf {site}/horovod {site}/horovod-*.dist-info &&"
        f" {UV} pip install -q --offline --no-deps --cache-dir {cache}"
        f" --python {folder}/bin/python ./{build.wheel} &&"
        f" chmod go-w {folder}/.lock && cd / && rm -rf {FOLDER}"
    )
