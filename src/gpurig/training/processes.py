"""How many processes each host runs, by the words of torchrun, horovodrun and mpirun as well."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gpurig.errors import InputError

_HOST = re.compile(r"(?P<name>[^:,\s]+)(?::(?P<slots>[1-9]\d*))?")


def slots_of(words: str) -> dict[str, int | None]:
    """Of ``-H gpu01:2,gpu02``: ``{"gpu01": 2, "gpu02": None}``."""
    found: dict[str, int | None] = {}
    for word in words.split(","):
        one = _HOST.fullmatch(word.strip())
        if one is None or one["name"] in found:
            what = f"{word.strip()!r} is no host, or is there twice"
            raise InputError("training-wish", what, "-H", "write -H gpu01:2,gpu02:2")
        found[one["name"]] = int(one["slots"]) if one["slots"] else None
    return found


def by_name(slots: Mapping[str, int | None], hosts: Sequence[str]) -> dict[str, int | None]:
    """The slots of ``-H`` by the names of the chosen hosts: ``ada@gpu01`` is gpu01."""
    found = {word.rpartition("@")[2]: number for word, number in slots.items()}
    if strange := [word for word in found if word not in hosts]:
        what = f"{strange[0]} is no host that trains here"
        raise InputError("training-wish", what, "-H", "name hosts, one by one, and no groups")
    return found


def first_nodes(hosts: Sequence[str], nodes: str | None) -> Sequence[str]:
    """The first so many hosts, as ``--nnodes`` asks for."""
    if nodes is None:
        return hosts
    if not re.fullmatch(r"[1-9]\d*", nodes):
        what = f"{nodes!r} is no number of hosts; gpurig starts all of them together"
        raise InputError("training-wish", what, "--nnodes", "write --nnodes 2")
    if int(nodes) > len(hosts):
        what = f"there are {len(hosts)} hosts, not {nodes}"
        raise InputError("training-wish", what, "--nnodes", "name more hosts, or leave it out")
    return hosts[: int(nodes)]


def per_host(
    hosts: Sequence[str], total: int | None, slots: Mapping[str, int | None]
) -> dict[str, int]:
    """
    How many processes each host runs; empty where each is to have one for each of its GPUs.

    + total: of ``-np``; slots: of ``-H``

    Hosts are filled in their order, as mpirun does; one that is left without a process has 0.
    """
    told = {host: number for host in hosts if (number := slots.get(host)) is not None}
    if total is None:
        return told
    if not told:
        if total % len(hosts):
            what = f"{total} processes do not divide evenly among {len(hosts)} hosts"
            raise InputError("training-wish", what, "-np", "say how many each runs: -H gpu01:2,…")
        return dict.fromkeys(hosts, total // len(hosts))
    room = {host: told.get(host, 1) for host in hosts}
    if total > sum(room.values()):
        what = f"the hosts of -H take {sum(room.values())} processes, not {total}"
        raise InputError("training-wish", what, "-np", "give them more slots, or ask for fewer")
    for host in hosts:
        room[host] = min(room[host], total)
        total -= room[host]
    return room
