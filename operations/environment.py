"""Python environments: made by the host's virtualenv, filled by uv from a hashed lock."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from io import BytesIO

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig import locks
from gpurig.fact import read
from gpurig.facts.environment import EnvironmentContents, Tools
from gpurig.facts.package_manager import InstalledPackages
from gpurig.locks import Lock
from gpurig.promise import drift, follows, holds, keeps, unknown
from gpurig.values import ABSENT, Absent, Unknown

Commands = Generator[StringCommand | FileUploadCommand, None, None]

TOOLS = "/opt/gpurig/tools"
PACKAGES = ("ca-certificates", "python3", "virtualenv")

SEEDS = {"pip", "wheel"}  # what virtualenv itself puts into an environment

_OLD = ".gpurig-old"  # marks an environment that was set aside and may go

_SECRETS = "/run/gpurig-environment"  # index and proxy may hold passwords: never in a command line


@dataclass(frozen=True)
class Downloads:
    """
    How downloads are made; either may hold a password, so neither is ever printed.

    + index: of wheels; proxy: for http and https; ``None``: as the tools have it
    """

    index: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)


@cache
def _uv_lock() -> str:
    return (files("gpurig.stack") / "locks" / "uv.txt").read_text()


@keeps("environments.tools")
def tools(downloads: Downloads) -> Commands:
    """uv, in an environment of gpurig's own, by hash, for the host's architecture."""
    wanted = locks.pins(_uv_lock())["uv"]
    there = read(Tools, path=TOOLS)
    if isinstance(there, Unknown):
        return unknown(there.reason)
    if there == wanted:
        return holds(f"uv {wanted} in {TOOLS}")
    drift(
        actual="no uv" if there is ABSENT else f"uv {there}",
        wanted=f"uv {wanted}",
        will=f"make {TOOLS}",
    )
    yield from _surroundings(downloads)
    yield from _uploaded(_uv_lock(), f"{_SECRETS}.lock")
    # pip comes from the distribution's own wheels, so that nothing unverified is ever run.
    yield StringCommand(
        _within(
            f"rm -rf {TOOLS} && virtualenv -q --no-download --python /usr/bin/python3 {TOOLS}"
            f" && {TOOLS}/bin/python -m pip install -q --no-cache-dir --disable-pip-version-check"
            f" --only-binary :all: --require-hashes -r {_SECRETS}.lock"
        )
    )


@keeps("environment.{title}.interpreter")
def interpreter(title: str, path: str, python: str, lock: Lock) -> Commands:
    """
    The environment exists, its interpreter starts and is the distribution's Python of this version.

    + title: the environment's name; path: its folder; python: ``3.13``; lock: what it should hold

    A broken one is set aside and removed when the new one is whole, unless the user had added
    packages to it: then it stays beside the new one.
    """
    contents = read(EnvironmentContents, path=path)
    packages = read(InstalledPackages, packages="virtualenv")
    for fact in (contents, packages):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert not isinstance(contents, Unknown)
    if isinstance(contents, dict) and contents["python"] == python:
        return holds(f"Python {python} in {path}")
    old, extras = f"{path}.gpurig-old", []
    if isinstance(contents, Absent):
        actual, will = f"no {path}", f"make {path}"
    else:
        extras = _extras(contents["installed"], locks.pins(lock.text))
        actual = f"Python {contents['python']}" if contents["python"] else "it does not start"
        will = f"make {path} anew"
    leaves = f"the old one in {old}, with {_few(extras)}" if extras else ""
    drift(actual=actual, wanted=f"Python {python}", will=will, leaves=leaves)
    yield StringCommand(_made(shlex.quote(path), shlex.quote(old), python, keep=bool(extras)))


def _made(folder: str, old: str, python: str, keep: bool) -> str:
    """Shell that makes an environment, in its final place: virtualenv writes that into scripts."""
    mark = "true" if keep else f"touch {old}/{_OLD}"
    return (
        f"umask 022; mkdir -p $(dirname {folder}) && rm -rf {old} &&"
        f" if [ -e {folder} ]; then mv {folder} {old} && {mark}; fi &&"
        f" virtualenv -q --no-download --python /usr/bin/python{python} {folder} ||"
        f" {{ rm -rf {folder}; [ ! -e {old} ] || mv {old} {folder}; exit 1; }}"
    )


@keeps("environment.{title}.packages")
def packages(title: str, path: str, lock: Lock, downloads: Downloads) -> Commands:
    """
    Every package of the lock is there, at its version, whole; what the user added stays.

    + title: the environment's name; path: its folder; lock: what it should hold
    """
    contents = read(EnvironmentContents, path=path)
    if isinstance(contents, Unknown):
        return unknown(contents.reason)
    if isinstance(contents, Absent) or not contents["python"]:
        return follows(f"environment.{title}.interpreter")
    wanted = locks.pins(lock.text)
    there = {locks.normalised(name): v for name, v in contents["installed"].items()}
    broken = sorted({locks.normalised(name) for name in contents["broken"]} & set(wanted))
    wrong = [name for name, version in wanted.items() if there.get(name) != version]
    if not wrong and not broken:
        return holds(f"{len(wanted)} packages as locked")
    extras = _extras(contents["installed"], wanted)
    drift(
        actual=_shown(wrong, broken, there),
        wanted=f"{len(wanted)} packages as locked",
        will=f"install {_few([*wrong, *(b for b in broken if b not in wrong)])}",
        leaves=_few(extras),
    )
    yield from _surroundings(downloads)
    yield from _uploaded(locks.build_part(lock.text), f"{_SECRETS}.build")
    yield from _uploaded(lock.text, f"{_SECRETS}.lock")
    again = "".join(f" --reinstall-package {shlex.quote(name)}" for name in broken)
    # Unpacked beside the environments, where there is room (/tmp may be in memory), linked into
    # place, and not kept: a cache that stays linked would be damaged together with an environment.
    cache = shlex.quote(f"{path.rpartition('/')[0]}/.gpurig-cache")
    uv = (
        f"{TOOLS}/bin/uv pip install --cache-dir {cache} --no-progress --require-hashes"
        f" --python {shlex.quote(path)}/bin/python{again}"
    )
    old = shlex.quote(f"{path}.gpurig-old")
    site = f"{shlex.quote(path)}/lib/python{contents['python']}/site-packages"
    # A distribution without its RECORD cannot be replaced by uv; its folder goes first.
    cleared = " && ".join(f"rm -rf {site}/{_glob(name)}-*.dist-info" for name in broken) or "true"
    yield StringCommand(
        _within(
            f"umask 022; rm -rf {cache}; {cleared} &&"
            f" {uv} --only-binary :all: -r {_SECRETS}.build &&"
            f" {uv} --no-build-isolation -r {_SECRETS}.lock &&"
            f" chmod go-w {shlex.quote(path)}/.lock &&"  # uv's own, which it makes for everybody
            f" {{ [ ! -e {old}/{_OLD} ] || rm -rf {old}; }}; code=$?; rm -rf {cache}; exit $code"
        )
    )


def _surroundings(downloads: Downloads) -> Commands:
    """Index and proxy for what is downloaded, in a file that only root can read."""
    values = {"UV_SYSTEM_CERTS": "1", "PIP_NO_INPUT": "1"}
    if downloads.index:
        values |= {"UV_DEFAULT_INDEX": downloads.index, "PIP_INDEX_URL": downloads.index}
        if downloads.index.startswith("http:"):
            # Named by the administrator; every file is compared with its hash all the same.
            host = downloads.index.split("/")[2].rpartition("@")[2]
            values |= {"UV_INSECURE_HOST": host, "PIP_TRUSTED_HOST": host}
    if downloads.proxy:
        values |= {"HTTP_PROXY": downloads.proxy, "HTTPS_PROXY": downloads.proxy}
        values |= {name.lower(): value for name, value in values.items() if "PROXY" in name}
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    yield from _uploaded(text, f"{_SECRETS}.env")


def _uploaded(text: str, path: str) -> Commands:
    yield StringCommand(f"rm -f {path} && touch {path} && chmod 600 {path}")
    yield FileUploadCommand(BytesIO(text.encode()), path)


def _within(script: str) -> str:
    """A script with the surroundings of `_surroundings`, which are gone when it ends."""
    return (
        f"trap 'rm -f {_SECRETS}.env {_SECRETS}.lock {_SECRETS}.build' EXIT;"
        f" . {_SECRETS}.env; {script}"
    )


def _extras(installed: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What the user added to an environment."""
    return sorted({locks.normalised(name) for name in installed} - set(wanted) - SEEDS)


def _glob(name: str) -> str:
    """A pattern of the folder names that a distribution of this name may have."""
    return "".join("[-_.]" if c == "-" else f"[{c}{c.upper()}]" if c.isalpha() else c for c in name)


def _shown(wrong: list[str], broken: list[str], there: dict[str, str]) -> str:
    missing = [name for name in wrong if name not in there]
    other = [f"{name} {there[name]}" for name in wrong if name in there]
    words = []
    if missing:
        words.append(f"{_few(missing)} missing")
    if other:
        words.append(f"{_few(other)} instead of the locked version")
    if broken:
        words.append(f"files of {_few(broken)} missing or changed")
    return ", ".join(words)


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
