"""Python environments: made by virtualenv, filled by uv from a hashed lock, swapped in whole."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.progress import AttendedAndTold, on_its_own
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps
from gpurig.contract.values import Absent
from gpurig.facts.environments.environment import Contents, EnvironmentContents
from gpurig.facts.packages.package_manager import InstalledPackages
from gpurig.operations.environments import swap, uninstall
from gpurig.operations.environments.building import (
    REMOVAL,
    SWAP,
    Place,
    built,
    cleared,
    extras,
    opened,
    repaired,
    taken,
)
from gpurig.operations.environments.uv import (
    SECRETS,
    Downloads,
    surroundings,
    uploaded,
    within,
)
from gpurig.operations.shared import ownership
from gpurig.operations.shared.made import noted
from gpurig.operations.shared.words import few, those
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
    product: str = "",
    room: int = 0,
) -> Commands:
    """
    The environment exists, its interpreter starts and is of this version.

    + title: the environment's name; path: its folder; python: ``3.13``; lock: what it should hold
    + executable: the Python that it is made from; empty: the distribution's
    + keep_extras: whether what the user added is installed again; besides: what other operations
      install in it
    + rivals: other wheels of its framework, which write the same files as the one in the lock
    + product: what people call it, ``TensorFlow 2.21.0 for CPU``; empty: by its lock
    + room: bytes that it takes on disk, 0 where not known

    One that is missing, broken or half changed is completed beside its place, and takes it in one
    step: until then the old one is where it was. So is one in which others than root could change
    something; nothing of it is taken over. So is one that has a rival, which nothing could remove
    without taking files of the other.
    """
    ownership.root_alone("environments.folders", _root(path))
    contents = known(EnvironmentContents, path=path)
    known(InstalledPackages, packages="virtualenv")
    if contents and contents["python"] == python and _usable(contents, rivals):
        yield from _stands(Place(path), contents)
        return
    added, lost = _extras(contents, lock, {*besides, *rivals}) if keep_extras else ({}, [])
    if contents and not contents["record"]:
        lost.append("files that gpurig did not install")
    how = "in" if isinstance(contents, Absent) else "in place of"
    warning = f" ({lock.warning})" * bool(lock.warning)
    drift(
        actual=_wrong(contents, python, rivals),
        wanted=f"Python {python}, {len(locks.pins(lock.text))} packages {lock.locked}",
        will=f"install {product or lock.key} {how} {path}{warning}",
        leaves=_leaves(path, list(added), lost),
    )
    yield StringCommand(noted({"root": _root(path)}))
    yield from surroundings(downloads, lock, python)
    yield from uploaded(locks.build_part(lock.text), f"{SECRETS}.build")
    yield from uploaded(lock.text, f"{SECRETS}.lock")
    yield from uploaded(inspect.getsource(swap), SWAP)
    place, made_from = Place(path), shlex.quote(executable or f"/usr/bin/python{python}")
    again = [f"{name}=={version}" for name, version in added.items() if name not in lost]
    own = [name for name in added if contents and name in contents["own"]]
    secured = taken(place) if contents and contents["open"] else ""
    yield _told(secured + built(place, made_from, lock, again, lost, room, own))


def _stands(place: Place, contents: Contents) -> Commands:
    """The interpreter is right: what a run that was cut off left beside it goes, users read it."""
    right = f"Python {contents['python']}"
    if not contents["unfinished"] and not contents["closed"]:
        return holds(f"{right} in {place.path}{_aside(contents)}")
    drift(
        actual=contents["closed"] or "files of a run that was cut off",
        wanted=right + ", for all users" * bool(contents["closed"]),
        will="make it readable for all users" if contents["closed"] else "remove these files",
    )
    yield StringCommand(f"{cleared(place)} && {opened(place.quoted)}")


def _extras(
    contents: Contents | Absent, lock: Lock, besides: set[str]
) -> tuple[dict[str, str], list[str]]:
    """What the user added, version by name, and the names of what cannot be installed again."""
    if not contents:
        return {}, []
    added = extras(contents["installed"], locks.pins(lock.text), SEEDS | besides)
    over = _over(contents, added)
    added = {name: version for name, version in added.items() if name not in over}
    elsewhere = {locks.normalised(name) for name in contents["elsewhere"]}
    return added, [name for name in added if contents["open"] or name in elsewhere]


def _over(contents: Contents, added: Iterable[str]) -> list[str]:
    """
    What came with the lock before this one and is in no lock now.

    None where the user has added packages, which may need it.
    """
    own = set(contents["own"])
    return [name for name in added if name in own] if own.issuperset(added) else []


@keeps("environment.{title}.search-path")
def search_path(title: str, path: str) -> Commands:
    """
    Python finds the environment's packages, and no others by the same names before them.

    + title: the environment's name; path: its folder

    What hides them a person put there; it is named with its place, and stays.
    """
    contents = known(EnvironmentContents, path=path)
    if not contents or not contents["python"] or contents["lost"] or contents["closed"]:
        return follows(f"environment.{title}.interpreter")
    if contents["hidden"]:
        return due(f"{'; '.join(contents['hidden'])}; remove that")
    holds("its packages are found before all others")
    yield from ()


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

    What came with an earlier lock and is in this one no more goes, unless the user added packages.

    + title: the environment's name; path: its folder; lock: what it should hold
    + keep_extras: whether what the user added stays; besides: what other operations install in it
    + rivals: other wheels of its framework; an environment that has one is made anew before this
    """
    ownership.root_alone("environments.folders", _root(path))
    contents = known(EnvironmentContents, path=path)
    if not contents or not contents["python"] or not _usable(contents, rivals):
        return follows(f"environment.{title}.interpreter")
    wanted = locks.pins(lock.text)
    differs = _Difference.of(contents, wanted)
    added = list(extras(contents["installed"], wanted, SEEDS | set(besides)))
    over = _over(contents, added)
    gone = over if keep_extras else added
    if not differs.todo and not gone and contents["record"] == lock.key:
        return holds(f"{len(wanted)} packages {lock.locked}")
    steps = {f"install {few(differs.todo)}": differs.todo, f"remove {few(gone)}": gone}
    drift(
        actual=differs.told(gone, over)
        or ("recorded with another lock" if contents["record"] else "no record of its lock"),
        wanted=f"{len(wanted)} packages {lock.locked}",
        will=" and ".join(those(steps)) or f"record {lock.key}",
        leaves=few([name for name in added if name not in gone]),
    )
    yield from surroundings(downloads, lock, contents["python"], differs.todo)
    yield from uploaded(locks.build_part(lock.text), f"{SECRETS}.build")
    yield from uploaded(lock.text, f"{SECRETS}.lock")
    site = f"{shlex.quote(path)}/lib/python{contents['python']}/site-packages"
    if gone:
        yield from uploaded(inspect.getsource(uninstall), REMOVAL)
    own = [name for name in added if name in contents["own"] and name not in gone]
    yield _told(repaired(Place(path), site, lock, differs.todo, differs.broken, gone, own))


def _told(script: str) -> AttendedAndTold:
    """The command that installs, which says how far it is."""
    return AttendedAndTold(on_its_own(within(script)))


@dataclass(frozen=True)
class _Difference:
    """
    Where an environment is not as its lock says.

    + missing: distributions of the lock; other: what is there of those of another version
    + wrong: both, as the lock names them; broken: those with a file missing or changed
    """

    missing: list[str]
    other: list[str]
    wrong: list[str]
    broken: list[str]

    @classmethod
    def of(cls, contents: Contents, wanted: Mapping[str, str]) -> _Difference:
        there = {locks.normalised(name): v for name, v in contents["installed"].items()}
        wrong = [name for name, version in wanted.items() if there.get(name) != version]
        missing = [name for name in wrong if name not in there]
        other = [f"{name} {there[name]}" for name in wrong if name in there]
        broken = {locks.normalised(name) for name in contents["broken"]} & wanted.keys()
        return cls(missing, other, wrong, sorted(broken))

    @property
    def todo(self) -> list[str]:
        """What is installed again."""
        return [*self.wrong, *(name for name in self.broken if name not in self.wrong)]

    def told(self, gone: Sequence[str], over: Sequence[str]) -> str:
        """The same in words; gone: what is removed, over: of that what came with another lock."""
        by_hand = [name for name in gone if name not in over]
        words = {
            f"{few(self.missing)} missing": self.missing,
            f"{few(self.other)} instead of the locked version": self.other,
            f"files of {few(self.broken)} missing or changed": self.broken,
            f"{few(by_hand)} added by hand": by_hand,
            f"{few(over)} in no lock any more": over,
        }
        return ", ".join(those(words))


def _root(path: str) -> str:
    return path.rpartition("/")[0]


def _usable(contents: Contents, rivals: tuple[str, ...]) -> bool:
    """Whether its packages can be put right where it stands."""
    cut = contents["changing"] or contents["lost"]
    return not cut and not _rival(contents, rivals)


def _rival(contents: Contents, rivals: tuple[str, ...]) -> str:
    """The first of these that is installed, or nothing."""
    there = {locks.normalised(name) for name in contents["installed"]}
    return next((name for name in rivals if name in there), "")


def _wrong(contents: Contents | Absent, python: str, rivals: tuple[str, ...]) -> str:
    if isinstance(contents, Absent):
        return "not there"
    if contents["open"]:
        return contents["open"]
    if contents["changing"]:
        return "a change of its packages was cut off"
    if contents["lost"]:
        return "its interpreter does not look into it"
    if contents["python"] == python:
        return f"it holds {_rival(contents, rivals)}"
    return f"Python {contents['python']}" if contents["python"] else "it does not start"


def _leaves(path: str, added: Sequence[str], lost: Sequence[str]) -> str:
    """What becomes of what the user added to an environment that is made anew."""
    words = []
    if again := [name for name in added if name not in lost]:
        words.append(f"{few(again)} (installed again)")
    if lost:
        words.append(f"the old environment in {path}.gpurig-old, because of {few(lost)}")
    return "; ".join(words)


def _aside(contents: Contents) -> str:
    if not contents["aside"]:
        return ""
    return (
        "; the previous environment is kept beside it, because"
        " these packages could not be reinstalled:"
        f" {contents['aside']}"
    )
