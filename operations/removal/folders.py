"""gpurig's own folders: environments, tools, programs, data, and what it remembers."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from pyinfra.api import StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, due, follows, keeps
from gpurig.contract.values import ABSENT, Absent
from gpurig.facts.docker.daemon_json import DaemonConfig
from gpurig.facts.environments.environment import Folder
from gpurig.facts.environments.records import Leftovers
from gpurig.facts.removal.files import Contents, Process, Using
from gpurig.facts.removal.images import NotedImages
from gpurig.facts.removal.made import RECORD as MADE
from gpurig.facts.removal.made import Made, MadeRecord
from gpurig.facts.removal.users import DataOfOthers, OwnUser
from gpurig.facts.users.groups import GroupMembership
from gpurig.facts.workloads import Archives
from gpurig.operations.environments import building, uv, uv_python
from gpurig.operations.removal.docker import standing
from gpurig.operations.removal.said import goes
from gpurig.operations.shared.ownership import OURS
from gpurig.operations.shared.words import few
from gpurig.operations.workloads import DATA, FOLDER, OWN, STATE, USER, shipped_sums
from gpurig.settings.programs import OwnProgram
from gpurig.workloads.mnist import ARCHIVES

GB = 1000**3
_BUILDING = ".gpurig"  # beside the environments, what is being built
# What gpurig keeps of a host, by name; the record of what it gave is apart.
_KEPT = ("horovod-build", "images", "initramfs", "proven.json")
_ARCHIVED, _PREPARED = "archives", "mnist"
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")  # folders of tensorflow_datasets in `_PREPARED`


@keeps("removal.environments")
def environments(root: str) -> Commands:
    """
    The environments that gpurig made are gone; one of the user's own stays.

    + root: the folder of the environments
    """
    made = _made(root)
    paths = tuple(f"{root}/{name}" for name in made)
    if used := _in_use(root):
        told = "; ".join(f"{folder}: {_those(used[folder])}" for folder in used)
        return due(f"processes use environments ({told}); end them first")
    names = known(Contents, folders=(root,)).get(root, [])
    others = [f"{root}/{name}" for name in names if name not in (*made, _BUILDING)]
    others += [
        f"the environments in {place} (--set {shlex.quote(f'rig_venv_root={place}')} removes them)"
        for place in _elsewhere(root)
    ]
    size = f"{sum(made.values()) / GB:.1f} GB"
    will = f"delete {', '.join(made)} in {root} ({size}), with the packages that users added"
    if not goes("removal.environments", list(made), others, will):
        return
    for path in map(shlex.quote, paths):
        # The record goes last: what is cut off is deleted by the next run.
        yield StringCommand(
            f"cd {path} && find . -mindepth 1 ! -path ./{building.RECORD} -delete && rm -r {path}"
        )
    yield StringCommand(_emptied(root))


def _made(root: str) -> dict[str, int]:
    """The environments that gpurig made in a folder, with their sizes in bytes."""
    found = known(Leftovers, root=root, wanted=())
    return {} if found is ABSENT else found


def _in_use(root: str) -> dict[str, list[Process]]:
    """The processes that use environments of gpurig's, by the environment's folder."""
    paths = tuple(f"{root}/{name}" for name in _made(root))
    return known(Using, folders=paths) if paths else {}


def _elsewhere(root: str) -> list[str]:
    """The other folders that have environments of gpurig's, as its record says."""
    places = [place for place in known(MadeRecord)["roots"] if place != root]
    return [place for place in places if _made(place)]


def _those(processes: Sequence[Process]) -> str:
    return few([f"process {one['pid']} of {one['user']}" for one in processes])


@keeps("removal.tools")
def tools(root: str) -> Commands:
    """
    uv, Pythons and wheels of gpurig's are gone, and its folders where nothing else is in them.

    + root: the folder of the environments
    """
    if _in_use(root):  # its interpreter may be one of these Pythons
        return follows("removal.environments")
    found = known(Contents, folders=(OURS, root))
    inside, beside = found.get(OURS, []), found.get(root, [])
    paths = [uv.TOOLS, uv_python.PYTHONS, uv.WHEELS]
    needed = [uv_python.PYTHONS] if _elsewhere(root) else []
    ours = [path for path in paths if path.rpartition("/")[2] in inside and path not in needed]
    ours += [f"{root}/{_BUILDING}"] if _BUILDING in beside else []
    ours += [folder for folder, names in found.items() if not names]
    others = {path.rpartition("/")[2] for path in (*paths, FOLDER)}
    stays = [path for name in inside if name not in others if (path := f"{OURS}/{name}") != root]
    stays += [path for path in needed if path.rpartition("/")[2] in inside]
    if goes("removal.tools", ours, stays, f"delete {', '.join(ours)}"):
        words = " ".join(map(shlex.quote, ours))
        yield StringCommand(f"rm -rf {words} && {{ {_emptied(root)}; }}")


def _emptied(*folders: str) -> str:
    """Shell that removes these folders and gpurig's own above them where they are empty."""
    return "; ".join(
        f"[ ! -d {path} ] || rmdir --ignore-fail-on-non-empty {path}"
        for path in map(shlex.quote, (*folders, OURS))
    )


@keeps("removal.workloads")
def workloads(programs: tuple[OwnProgram, ...]) -> Commands:
    """
    gpurig's training programs are gone; one that somebody has changed or added stays.

    + programs: the user's own that the settings name, which gpurig copied to the host
    """
    sums = {f"{FOLDER}/{name}": sha256 for name, sha256 in shipped_sums().items()}
    sums |= {f"{OWN}/{one.file}": _sum(one.path) for one in programs}
    ours: list[str] = []
    stays: list[str] = []
    found = known(Contents, folders=(FOLDER, OWN))
    for folder, names in found.items():
        content = known(Folder, path=folder)
        there = content["files"] if content else {}
        for path in (f"{folder}/{name}" for name in names if f"{folder}/{name}" != OWN):
            name = path.rpartition("/")[2]
            is_ours = name == "__pycache__" or there.get(name) == sums.get(path, "-")
            (ours if is_ours else stays).append(path)
    ours += [folder for folder, names in found.items() if not names]
    names = [path.rpartition("/")[2] for path in ours]
    will = f"delete {few(names)} in {FOLDER}"
    if goes("removal.workloads", names, stays, will):
        words = " ".join(map(shlex.quote, ours))
        yield StringCommand(f"rm -rf {words} && {_emptied(OWN, FOLDER)}")


def _sum(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "gone"


@keeps("removal.data")
def data() -> Commands:
    """
    What gpurig's programs keep of data sets is gone; data of the user's stay.

    What the user gpurig has there was written by programs that gpurig ran. Where a person's
    programs ran, only the originals of MNIST and what is prepared from them are gpurig's.
    """
    inner = {name: f"{DATA}/{name}" for name in (_ARCHIVED, _PREPARED)}
    found, others = known(Contents, folders=(DATA, *inner.values())), known(DataOfOthers)
    names, archives = found.get(DATA, []), known(Archives)
    files = {} if archives is ABSENT else archives["files"]
    sums = {name: file["sha256"] for name, file in files.items()}
    archived = found.get(inner[_ARCHIVED], [])
    known_ones = {
        _ARCHIVED: inner[_ARCHIVED] in found
        and all(ARCHIVES.get(name, "-") == sums.get(name) for name in archived),
        _PREPARED: inner[_PREPARED] in found
        and all(map(_VERSION.fullmatch, found.get(inner[_PREPARED], []))),
    }
    ours = [name for name in names if name not in others or known_ones.get(name, False)]
    stays = [f"{DATA}/{name}" for name in names if name not in ours]
    folder = ["datasets"] if found.get(DATA) == [] else []
    if not goes("removal.data", ours or folder, stays, f"delete {few(ours or folder)} in {STATE}"):
        return
    words = " ".join(shlex.quote(f"{DATA}/{name}") for name in ours)
    yield StringCommand(
        (f"rm -rf {words} && " if words else "") + f"{{ rmdir --ignore-fail-on-non-empty {DATA};"
        f" if [ ! -d {DATA} ]; then rmdir --ignore-fail-on-non-empty {STATE};"
        f' elif [ "$(stat -c %U {DATA})" = {USER} ]; then chown root:root {DATA}; fi; }}'
    )


@keeps("removal.user")
def user() -> Commands:
    """The system user gpurig is gone, where it is the one that gpurig makes."""
    found = known(OwnUser)
    if found is not ABSENT and found["ours"] and found["processes"]:
        return due(f"the user {USER} has {found['processes']} processes; end them first")
    ours = [f"user {USER}"] if found is not ABSENT and found["ours"] else []
    stays = [f"the user {USER}"] if found is not ABSENT and not ours else []
    if goes("removal.user", ours, stays, f"delete the system user {USER}"):
        yield StringCommand(
            f"userdel {USER} && {{ ! getent group {USER} >/dev/null || groupdel {USER}; }}"
        )


@keeps("removal.records")
def records(root: str) -> Commands:
    """
    What gpurig remembers of this host is gone; last, since removals are judged by it.

    + root: the folder of the environments that go; of others its record stays
    """
    there, made = known(Contents, folders=(STATE,)), known(MadeRecord)
    if waits := _waits(made):
        return follows(waits)
    names, kept = there.get(STATE, []), list(_KEPT)
    if not _elsewhere(root):
        kept.append(MADE.rpartition("/")[2])
    ours = [f"{STATE}/{name}" for name in names if name in kept]
    stays = [path for name in names if (path := f"{STATE}/{name}") not in (*ours, DATA, MADE)]
    ours += [STATE] if there.get(STATE) == [] else []
    if goes("removal.records", ours, stays, f"delete {', '.join(ours)}"):
        words = " ".join(ours)
        yield StringCommand(
            f"rm -rf {words} && {{ [ ! -d {STATE} ] || rmdir --ignore-fail-on-non-empty {STATE}; }}"
        )


def _waits(made: Made) -> str:
    """The promise that still needs what gpurig remembers; empty where none does."""
    noted = read(NotedImages)
    if not isinstance(noted, dict) or any(image["there"] for image in noted.values()):
        return "removal.images"
    if made["daemon_keys"]:
        file = read(DaemonConfig)
        if not isinstance(file, (dict, Absent)):
            return "removal.docker-keys"
        if standing(made, file["config"] if isinstance(file, dict) else {})[0]:
            return "removal.docker-keys"
    for name in made["group_docker"]:
        member = read(GroupMembership, user=name, group="docker")
        if not isinstance(member, (dict, Absent)) or (
            isinstance(member, dict) and member["member"]
        ):
            return "removal.docker-group"
    return ""
