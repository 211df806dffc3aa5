"""The shell that builds an environment beside its place, and what it leaves when it is cut off."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpurig import __version__
from gpurig.contract.progress import counted
from gpurig.operations.environments.uv import OPTIONS, SECRETS, UV
from gpurig.wheels import locks
from gpurig.wheels.lock_text import ONLY_WHEELS
from gpurig.wheels.locks import Lock

RECORD = ".gpurig.json"  # in each environment that gpurig made: which lock it is made from
CHANGING = ".gpurig-changing"  # in an environment while its packages are changed
MISSING = ".gpurig-missing"  # in an old one: which of the user's packages the new one lacks
PATIENCE = 3600  # seconds for what a run whose connection broke still does there

SWAP = f"{SECRETS}.py"  # swap.py on the host
REMOVAL = f"{SECRETS}.removal.py"  # uninstall.py there


@dataclass(frozen=True)
class Place:
    """
    Where an environment is, and what belongs to it.

    + path: its folder, an absolute path
    """

    path: str

    @property
    def quoted(self) -> str:
        return shlex.quote(self.path)

    @property
    def _own(self) -> tuple[str, str]:
        root, _, name = self.path.rpartition("/")
        return f"{root}/.gpurig", name

    @property
    def building(self) -> str:
        """What is beside all environments and belongs to none that is in use."""
        return shlex.quote(self._own[0])

    @property
    def new(self) -> str:
        """Where it is built: on the same file system, under a name that nobody activates."""
        return shlex.quote("{}/{}.new".format(*self._own))

    @property
    def cache(self) -> str:
        """
        Wheels are unpacked here, where there is room (/tmp may be in memory), and then linked.

        Not kept: a cache that stays linked would be damaged together with an environment.
        """
        return shlex.quote("{}/cache".format(*self._own))

    @property
    def old(self) -> str:
        """Where an old one stays that holds what the new one lacks."""
        return shlex.quote(f"{self.path}.gpurig-old")


def cleared(place: Place) -> str:
    """Shell: what a run that was cut off left in the building place is gone, or set aside."""
    return (
        f"if [ -e {place.new}/{MISSING} ]; then {_kept(place)}; else rm -rf {place.new}; fi &&"
        f" rm -rf {place.cache}"
    )


def taken(place: Place) -> str:
    """
    Shell: an environment that others could write to is root's, so that root may write into it.

    Only its folder: what is in there is replaced with it, and no link of theirs is followed.
    """
    return (
        f"if [ -L {place.quoted} ]; then"
        f" echo {shlex.quote(f'{place.path} is a link; remove it')} >&2; exit 1; fi;"
        f" chown root:root {place.quoted} && chmod 755 {place.quoted} && "
    )


def _kept(place: Place) -> str:
    return f'old={place.old}; [ ! -e "$old" ] || old=$old-$(date +%s); mv {place.new} "$old"'


def _alone(place: Place) -> str:
    """Shell: what a run whose connection broke still does here has ended."""
    folder = place.building
    lock = f"{folder}/lock"
    # Mode 600 before the first flock: whoever may open a file may hold its lock.
    return (
        f"mkdir -p {folder} && (umask 077; : >> {lock})"
        f" && chmod 600 {lock} && exec 8>>{lock} && {{ flock -w {PATIENCE} 8 ||"
        f" {{ echo E: another process holds {lock}: end that process >&2; exit 1; }}; }}"
    )


def filled(place: Place, folder: str, wheels: int, room: int = 0, options: str = "") -> str:
    """
    Shell: the environment in `folder` holds what the uploaded lock says.

    + wheels: how many are unpacked for that; room: bytes that it takes in the end, 0 where unknown
    """
    uv = _uv(place, folder) + f" --require-hashes{options}"
    unpacked = f"find {place.cache}/archive-v* -mindepth 1 -maxdepth 1 | wc -l"
    install = (
        f"{uv} --only-binary :all: -r {SECRETS}.build &&"
        f" {uv} {ONLY_WHEELS} --no-build-isolation -r {SECRETS}.lock"
    )
    return (
        f"{counted(install, 'packages', unpacked, str(wheels), place.cache, room)} &&"
        f" chmod go-w {folder}/.lock &&"  # uv's own, which it makes for everybody
        # Users cannot write here: without it Python would compile anew at each of their imports,
        # 7 s of a processor for TensorFlow. Some packages ship files that this
        # Python cannot compile (old syntax, templates): its error counts for nothing.
        f" {{ {_compiled(folder)} || :; }}"
    )


def _compiled(folder: str) -> str:
    """Shell: all Python files have their bytecode, which takes about as long as the downloads."""
    script = f"{folder}/bin/python -I -m compileall -q -j 0 {folder}/lib >/dev/null 2>&1"
    done, total = (f"find {folder}/lib -name '*.{kind}' | wc -l" for kind in ("pyc", "py"))
    return counted(script, "files compiled to bytecode", done, f"$({total})")


def _uv(place: Place, folder: str) -> str:
    cache = f"--cache-dir {place.cache}"
    return f"{UV} pip install {OPTIONS} {cache} --no-progress --python {folder}/bin/python"


def opened(folder: str) -> str:
    """Shell: every user can read a folder, also by a link to it; no other mode changes."""
    closed = r"\( -type d ! -perm -005 -o -type f ! -perm -004 \)"
    return f"find {folder}/ {closed} -exec chmod go+rX {{}} +"


def _noted(folder: str, lock: Lock, own: Iterable[str]) -> str:
    """
    Shell: the environment's record says what it is made from, and what gpurig put there.

    + own: of earlier locks, and still there
    """
    packages = " ".join(sorted({*locks.pins(lock.text), *own}))
    record = json.dumps({"lock": lock.key, "packages": packages, "gpurig": __version__})
    file = f"{folder}/{RECORD}"
    return f"printf '%s\\n' {shlex.quote(record)} > {file}.new && mv {file}.new {file}"


def _sealed(place: Place) -> str:
    """
    Shell: the record is younger than every file; what is younger than the record was changed.

    After the cache has gone: its links count among the changes of a file.
    """
    return f"touch {place.quoted}/{RECORD}"


def built(
    place: Place, python: str, lock: Lock, extras: Sequence[str], lost: Sequence[str],
    room: int = 0, own: Sequence[str] = (),
) -> str:  # fmt: skip
    """
    Shell: the environment is completed beside its place and then takes it in one step.

    + python: the interpreter's path
    + extras: ``name==version`` of the user's own packages, installed again
    + lost: what cannot be; an old environment that holds what the new one lacks stays beside it
    + room: bytes that it takes, 0 where not known; own: those of them that are of an earlier lock

    The scripts that uv writes find their interpreter by their own place (``relocatable``), so the
    sizes in each RECORD stay right; what virtualenv wrote is rewritten. A bind mount over the final
    path would need no rewriting, but a right that containers lack.
    """
    new, wheels = place.new, len(locks.pins(lock.text))
    return (
        f"{_alone(place)} && {cleared(place)} &&"
        f" /usr/bin/virtualenv -q --no-download --app-data {place.cache} --python {python} {new} &&"
        f" echo 'relocatable = true' >> {new}/pyvenv.cfg &&"
        f" {filled(place, new, wheels, room)} && {_with_extras(place, extras, lost)}"
        f" /usr/bin/python3 -I {SWAP} rewrite {new} {place.quoted} && {_noted(new, lock, own)} &&"
        f" /usr/bin/python3 -I {SWAP} swap {new} {place.quoted} ||"
        f" {{ rm -rf {new} {place.cache}; exit 1; }}; {cleared(place)} && {_sealed(place)}"
    )


def _with_extras(place: Place, extras: Sequence[str], lost: Sequence[str]) -> str:
    """
    Shell: the user's packages, all at once, else one by one.

    Those that cannot be had are named in the old environment before it is swapped, so that whoever
    finds it in the building place knows that it may not go. No hashes are known for them.
    """
    forgotten = f"rm -f {place.quoted}/{MISSING}"
    if not extras and not lost:
        return f"{forgotten} &&"
    uv = f"{_uv(place, place.new)} --no-deps --only-binary :all:"
    each = " ".join(shlex.quote(extra) for extra in extras)
    install = (
        f'{uv} {each} || for e in {each}; do {uv} "$e" || missing="$missing $e"; done;'
        if extras
        else ""
    )
    # They are on no shelf: where wheels are handed over, these come from the index all the same.
    index = (
        "unset GPURIG_UV UV_FIND_LINKS;"
        ' [ -z "$PIP_INDEX_URL" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"'
    )
    return (
        f"( {index}; missing={shlex.quote(' '.join(lost))}; {install}"
        f' {forgotten}; [ -z "$missing" ] ||'
        f' {{ echo "these packages could not be reinstalled: $missing";'
        f" printf '%s\\n' \"${{missing# }}\" > {place.quoted}/{MISSING}; }} ) &&"
    )


def repaired(
    place: Place,
    site: str,
    lock: Lock,
    wrong: Sequence[str],
    broken: Sequence[str],
    gone: Sequence[str],
    own: Sequence[str] = (),
) -> str:
    """
    Shell: an environment that starts holds what the uploaded lock says, without being built anew.

    + site: its site-packages; wrong: names that are installed; broken: those of them that are there
      already; gone: extras to remove; own: what stays of an earlier lock

    It is marked while it is changed: if that is cut off, the next run builds it anew, as nobody
    can say what half an upgrade has left.
    """
    wheels = len(wrong)
    again = "".join(f" --reinstall-package {shlex.quote(name)}" for name in broken)
    # A distribution without its RECORD cannot be replaced by uv; its folder goes first.
    steps = [f"rm -rf {site}/{_glob(name)}-*.dist-info" for name in broken]
    if gone:
        names = " ".join(shlex.quote(name) for name in gone)
        steps.append(f"{place.quoted}/bin/python -I -S {REMOVAL} {site} {names}")
    steps += [filled(place, place.quoted, wheels, options=again), _noted(place.quoted, lock, own)]
    mark = f"{place.quoted}/{CHANGING}"
    return (
        f"{_alone(place)} && rm -rf {place.cache} && touch {mark} &&"
        f" {' && '.join(steps)}; code=$?; rm -rf {place.cache} {mark};"
        f" [ $code != 0 ] || {_sealed(place)}; exit $code"
    )


def _glob(name: str) -> str:
    """A pattern of the folder names that a distribution of this name may have."""
    return "".join("[-_.]" if c == "-" else f"[{c}{c.upper()}]" if c.isalpha() else c for c in name)


def extras(installed: dict[str, str], wanted: dict[str, str], seeds: set[str]) -> dict[str, str]:
    """What the user added to an environment: version by normalised name."""
    found = {locks.normalised(name): version for name, version in installed.items()}
    return {n: v for n, v in sorted(found.items()) if n not in wanted and n not in seeds}
