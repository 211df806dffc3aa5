"""Docker without gpurig: its keys in daemon.json, its members of the group, its images."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import ends_unknown, known, sure
from gpurig.contract.promise import Commands, due, follows, holds, keeps
from gpurig.contract.values import ABSENT, Unknown
from gpurig.facts.docker.daemon_json import DAEMON_JSON, DaemonConfig, DaemonFile
from gpurig.facts.docker.engine import DOCKER, DockerClient, DockerInfo, DockerInstalled
from gpurig.facts.images import NOTES
from gpurig.facts.removal.images import NotedImages
from gpurig.facts.removal.made import Made, MadeRecord
from gpurig.facts.users.groups import GroupMembership
from gpurig.operations.docker.engine import VALID, taken_up
from gpurig.operations.removal.said import goes
from gpurig.operations.shared.file import written
from gpurig.operations.shared.made import digest

GPUS = (("runtimes", "nvidia"), ("features", "cdi"))  # what gpurig writes there for GPUs


@keeps("removal.images")
def images() -> Commands:
    """The images that gpurig built or loaded are gone; a user's name for one of them stays."""
    noted = known(NotedImages)
    there = {name: image for name, image in noted.items() if image["there"]}
    if used := {name: one["containers"] for name, one in there.items() if one["containers"]}:
        told = "; ".join(f"gpurig/{name}: {', '.join(those)}" for name, those in used.items())
        return due(f"containers use images ({told}); remove them with docker rm")
    names = [f"gpurig/{name}" for name in there]
    if not goes("removal.images", names, [], f"remove the images {', '.join(names)}"):
        return
    for name in there:
        image, note = shlex.quote(f"gpurig/{name}"), shlex.quote(f"{NOTES}/{name}.id")
        yield StringCommand(f"{DOCKER} image rm {image} >/dev/null && rm -f {note}")


@keeps("removal.docker-keys")
def daemon_keys() -> Commands:
    """
    The keys that gpurig added to Docker's daemon.json are gone; every other key stays.

    A key whose value is no longer the one that gpurig wrote is the user's by now.
    """
    made, file = known(MadeRecord), known(DaemonConfig)
    config = {} if file is ABSENT else file["config"]
    ours, others = standing(made, config)
    names = [".".join(key) for key in ours]
    stays = [f"{'.'.join(key)} in {DAEMON_JSON}" for key in others]
    rest = without(config, ours)
    whole = made["daemon_file"] and not rest
    if file is not ABSENT and file["lossy"] and ours and not whole:
        ends_unknown(f"{file['path']}: {file['lossy']}; gpurig would lose the rest")
    will = f"remove {DAEMON_JSON}" if whole else f"remove {', '.join(names)} from {DAEMON_JSON}"
    if not goes("removal.docker-keys", names, stays, will):
        return
    assert file is not ABSENT
    if whole:
        yield StringCommand("rm -f", QuoteString(file["path"]))
        return
    text = json.dumps(rest, indent=file["indent"], ensure_ascii=False) + "\n"
    *staging, rename = written(file["path"], text, mode=None)
    yield from staging
    if known(DockerInstalled) is not ABSENT:
        yield StringCommand(VALID, QuoteString(f"{file['path']}.gpurig-new"))
    yield rename


def standing(
    made: Made, config: Mapping[str, Any]
) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """The keys of a daemon.json that gpurig added and that are as it wrote them; those in doubt."""
    ours: list[Sequence[str]] = []
    for key, sha256 in made["daemon_keys"]:
        value, there = _value(config, key)
        if there and digest(value) == sha256:
            ours.append(key)
    told = [tuple(key) for key in ours]
    doubt = [key for key, _ in made["daemon_keys"] if tuple(key) not in told]
    left = [key for key in [*map(tuple, doubt), *GPUS] if _value(config, key)[1]]
    return ours, [key for key in dict.fromkeys(left) if key not in told]


def _value(config: Mapping[str, Any], key: Sequence[str]) -> tuple[Any, bool]:
    """What a key has, one or two names deep, and whether it is there."""
    found: Any = config
    for name in key:
        if not isinstance(found, Mapping) or name not in found:
            return None, False
        found = found[name]
    return found, True


def without(config: Mapping[str, Any], keys: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A daemon.json without these keys, and without the objects that they leave empty."""
    rest = dict(config)
    for key in keys:
        if len(key) == 1:
            rest.pop(key[0], None)
            continue
        inner = {name: value for name, value in rest[key[0]].items() if name != key[1]}
        rest[key[0]] = inner
        if not inner:
            del rest[key[0]]
    return rest


@keeps("removal.docker-running")
def running(restart: bool) -> Commands:
    """
    The daemon that runs no longer uses those keys.

    + restart: also where a restart stops containers, which otherwise is due
    """
    made, file = known(MadeRecord), known(DaemonConfig)
    daemon = read(DockerInfo)
    if known(DockerInstalled) is ABSENT or read(DockerClient) is ABSENT or daemon is ABSENT:
        return holds("no Docker is running")
    found = DaemonFile(path=DAEMON_JSON, config={}, indent="    ", changed=0.0, lossy="")
    file = found if file is ABSENT else file
    if standing(made, file["config"])[0]:
        return follows("removal.docker-keys")
    yield from taken_up(file, sure(daemon), DAEMON_JSON, restart)


@keeps("removal.docker-group")
def group(users: Sequence[str]) -> Commands:
    """
    Users that gpurig added to the group docker are in it no longer.

    + users: those of rig_users; one whom somebody else added is named, and stays
    """
    made = known(MadeRecord)
    members = {}
    for user in dict.fromkeys([*made["group_docker"], *users]):
        found = read(GroupMembership, user=user, group="docker")
        if isinstance(found, Unknown):
            sure(found)
        members[user] = found is not ABSENT and isinstance(found, dict) and found["member"]
    ours = [user for user in made["group_docker"] if members[user]]
    stays = [f"{user} in the group docker" for user in users if members[user] and user not in ours]
    will = f"take {', '.join(ours)} out of the group docker, from their next login on"
    if not goes("removal.docker-group", ours, stays, will):
        return
    for user in ours:
        yield StringCommand("gpasswd --delete", QuoteString(user), "docker")
