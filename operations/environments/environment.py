"""Python environments: made by virtualenv, filled by uv from a hashed lock, swapped in whole."""

from __future__ import annotations

import inspect
import shlex

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, follows, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.environments.environment import Contents, EnvironmentContents
from gpurig.facts.packages.package_manager import InstalledPackages
from gpurig.operations.environments import swap
from gpurig.operations.environments.building import (
    SWAP,
    Place,
    built,
    cleared,
    extras,
    repaired,
    taken,
)
from gpurig.operations.environments.uv import (
    SECRETS,
    Commands,
    Downloads,
    surroundings,
    uploaded,
    within,
)
from gpurig.operations.shared import ownership
from gpurig.wheels import locks
from gpurig.wheels.locks import Lock

PACKAGES = ("ca-certificates", "python3", "virtualenv")

SEEDS = {"pip", "wheel"}  # what virtualenv itself puts into an environment


@keeps("environment.{title}.interpreter")
def interpreter(
    title: str,
    path: str,
    python: str,
    lock: Lock,
    downloads: Downloads,
    executable: str = "",
    keep_extras: bool = True,
    besides: tuple[str, ...] = (),
    rivals: tuple[str, ...] = (),
) -> Commands:
    """
    The environment exists, its interpreter starts and is of this version.

    + title: the environment's name; path: its folder; python: ``3.13``; lock: what it should hold
    + executable: the Python that it is made from; empty: the distribution's
    + keep_extras: whether what the user added is installed again; besides: what other operations
      install in it
    + rivals: other wheels of its framework, which write the same files as the one in the lock

    One that is missing, broken or half changed is completed beside its place, and takes it in one
    step: until then the old one is where it was. So is one in which others than root could change
    something; nothing of it is taken over. So is one that has a rival, which nothing could remove
    without taking files of the other.
    """
    if ownership.waits("environments.folders", _root(path)):
        return
    contents = read(EnvironmentContents, path=path)
    packages = read(InstalledPackages, packages="virtualenv")
    for fact in (contents, packages):
        if isinstance(fact, Unknown):
            return unknown(fact.reason)
    assert not isinstance(contents, Unknown)
    place, added, lost = Place(path), {}, []
    if isinstance(contents, dict):
        usable = not contents["changing"] and not _rival(contents, rivals)
        if contents["python"] == python and usable:
            if not contents["unfinished"] and not contents["closed"]:
                return holds(f"Python {python} in {path}{_aside(contents)}")
            drift(
                actual=contents["closed"] or "what a run that was cut off left beside it",
                wanted=f"Python {python}" + ", for all users" * bool(contents["closed"]),
                will="let users read it" if contents["closed"] else "clear that away",
            )
            yield StringCommand(f"{cleared(place)} && chmod -R go+rX {place.quoted}")
            return
        if keep_extras:
            own = SEEDS | {*besides, *rivals}
            added = extras(contents["installed"], locks.pins(lock.text), own)
            elsewhere = {locks.normalised(name) for name in contents["elsewhere"]}
            lost = [name for name in added if contents["open"] or name in elsewhere]
        if not contents["record"]:
            lost.append("whatever gpurig did not put there")
    warning = f" ({lock.warning})" if lock.warning else ""
    drift(
        actual=_wrong(path, contents, python, rivals),
        wanted=f"Python {python}, and packages {lock.locked}",
        will=f"make {path}" + " anew and swap it in" * isinstance(contents, dict) + warning,
        leaves=_leaves(path, list(added), lost),
    )
    yield from surroundings(downloads, lock, python)
    yield from uploaded(locks.build_part(lock.text), f"{SECRETS}.build")
    yield from uploaded(lock.text, f"{SECRETS}.lock")
    yield from uploaded(inspect.getsource(swap), SWAP)
    again = [f"{name}=={version}" for name, version in added.items() if name not in lost]
    made_from = shlex.quote(executable or f"/usr/bin/python{python}")
    secured = taken(place) if isinstance(contents, dict) and contents["open"] else ""
    yield StringCommand(within(secured + built(place, made_from, lock, again, lost)))


@keeps("environment.{title}.packages")
def packages(
    title: str,
    path: str,
    lock: Lock,
    downloads: Downloads,
    keep_extras: bool = True,
    besides: tuple[str, ...] = (),
    rivals: tuple[str, ...] = (),
) -> Commands:
    """
    Every package of the lock is there, at its version, whole, and the record says so.

    + title: the environment's name; path: its folder; lock: what it should hold
    + keep_extras: whether what the user added stays; besides: what other operations install in it
    + rivals: other wheels of its framework; an environment that has one is made anew before this
    """
    if ownership.waits("environments.folders", _root(path)):
        return
    contents = read(EnvironmentContents, path=path)
    if isinstance(contents, Unknown):
        return unknown(contents.reason)
    if isinstance(contents, Absent) or not contents["python"] or contents["changing"]:
        return follows(f"environment.{title}.interpreter")
    if _rival(contents, rivals):
        return follows(f"environment.{title}.interpreter")
    wanted = locks.pins(lock.text)
    there = {locks.normalised(name): v for name, v in contents["installed"].items()}
    broken = sorted({locks.normalised(name) for name in contents["broken"]} & set(wanted))
    wrong = [name for name, version in wanted.items() if there.get(name) != version]
    added = extras(contents["installed"], wanted, SEEDS | set(besides))
    gone = [] if keep_extras else list(added)
    if not wrong and not broken and not gone and contents["record"] == lock.key:
        return holds(f"{len(wanted)} packages {lock.locked}")
    todo = [*wrong, *(b for b in broken if b not in wrong)]
    steps = [f"install {few(todo)}"] * bool(todo) + [f"remove {few(gone)}"] * bool(gone)
    drift(
        actual=_shown(wrong, broken, gone, there) or "no record of the lock that it was made from",
        wanted=f"{len(wanted)} packages {lock.locked}",
        will=" and ".join(steps) or f"note {lock.key}",
        leaves=few(list(added)) if keep_extras else "",
    )
    yield from surroundings(downloads, lock, contents["python"], todo)
    yield from uploaded(locks.build_part(lock.text), f"{SECRETS}.build")
    yield from uploaded(lock.text, f"{SECRETS}.lock")
    site = f"{shlex.quote(path)}/lib/python{contents['python']}/site-packages"
    yield StringCommand(within(repaired(Place(path), site, lock, broken, gone)))


def _root(path: str) -> str:
    return path.rpartition("/")[0]


def _rival(contents: Contents, rivals: tuple[str, ...]) -> str:
    """The first of these that is installed, or nothing."""
    there = {locks.normalised(name) for name in contents["installed"]}
    return next((name for name in rivals if name in there), "")


def _wrong(path: str, contents: Contents | Absent, python: str, rivals: tuple[str, ...]) -> str:
    if isinstance(contents, Absent):
        return f"no {path}"
    if contents["open"]:
        return contents["open"]
    if contents["changing"]:
        return "a change of its packages was cut off"
    if contents["python"] == python:
        return f"it holds {_rival(contents, rivals)}"
    return f"Python {contents['python']}" if contents["python"] else "it does not start"


def _leaves(path: str, added: list[str], lost: list[str]) -> str:
    """What becomes of what the user added to an environment that is made anew."""
    words = []
    if again := [name for name in added if name not in lost]:
        words.append(f"{few(again)}, installed again")
    if lost:
        words.append(f"the old one in {path}.gpurig-old, for {few(lost)}")
    return "; ".join(words)


def _aside(contents: Contents) -> str:
    if not contents["aside"]:
        return ""
    return f"; an old one stays beside it for what could not be had again: {contents['aside']}"


def _shown(wrong: list[str], broken: list[str], gone: list[str], there: dict[str, str]) -> str:
    missing = [name for name in wrong if name not in there]
    other = [f"{name} {there[name]}" for name in wrong if name in there]
    words = []
    if missing:
        words.append(f"{few(missing)} missing")
    if other:
        words.append(f"{few(other)} instead of the locked version")
    if broken:
        words.append(f"files of {few(broken)} missing or changed")
    if gone:
        words.append(f"{few(gone)} added by hand")
    return ", ".join(words)


def few(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
