"""What is looked at when something has failed: what ails hosts most often, whatever failed."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.host.disk import DATA_ROOT
from gpurig.facts.packages.locks import HOLDERS

# Where apt, dpkg, dkms, Docker and gpurig itself write.
PLACES = (
    "/", "/boot", "/etc", "/opt", "/tmp", "/run", "/usr", "/var", "/var/cache/apt/archives",
    "/var/lib/apt/lists", "/var/lib/dpkg", "/var/lib/gpurig", "/var/lib/docker",
)  # fmt: skip
# Nothing here stops at what it cannot read: the rest may be the reason.
_LOOK = r"""
echo "clock $(date +%s)"
for path in "$@"; do
    case $path in /*) ;; *) continue ;; esac
    while [ ! -e "$path" ]; do path=${path%/*}; path=${path:-/}; done
    inodes=$(command df -Pi "$path" 2>/dev/null |
        awk 'NR == 2 { print ($2 ~ /^[1-9]/) ? $4 : "-" }')
    command df -Pk "$path" 2>/dev/null |
        awk -v i="${inodes:--}" 'NR == 2 && $4 ~ /^[0-9]+$/ { print "room", $4, i, $6 }'
    command lsattr -d "$path" 2>/dev/null | sed 's/^/flags /'
done
[ ! -e /proc/locks ] || holders | sed 's/^/lock /'
{
    env | sed -nE 's/^(https?_proxy|HTTPS?_PROXY)=/\1 /p'
    if command -v apt-get >/dev/null; then
        apt-mark showhold 2>/dev/null | sed 's/^/hold /' >&9
        apt-config dump --format '%f %v%n' Acquire 2>/dev/null |
            sed -nE 's/^(Acquire::(http|https|ftp)::[pP]roxy) /\1 /p'
    fi
} | sort -u | while read -r key proxy; do
    place=${proxy#*://} place=${place##*@} place=${place%%/*}
    case $place in ''|DIRECT) continue ;; *:*) ;; *) place=$place:80 ;; esac
    command -v bash >/dev/null || continue
    host=${place%:*} port=${place##*:}
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "${host#[}" "$port" 2>/dev/null && continue
    at=
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        [ -f "$file" ] || continue
        [ -z "$(place=$place awk 'index($0, ENVIRON["place"])' "$file")" ] || at=$file
    done
    printf 'dead %s %s %s\n' "$key" "$place" "$at"
done
exit 0
"""


class Place(TypedDict):
    """A file system, by where it is mounted, and how much may still be written on it."""

    mount: str
    free_bytes: int
    free_inodes: int | None


class Dead(TypedDict):
    """A proxy that does not answer: its setting, its place, and the file of apt's that has it."""

    key: str
    place: str
    file: str


class Found(TypedDict):
    """
    What may be the reason.

    + clock: seconds since 1970; rooms: of all that is looked at
    + immutable: what root may not change
    + locks: who has apt's and dpkg's locks, as ``apt-get (process 4711)``
    """

    clock: int
    rooms: list[Place]
    immutable: list[str]
    locks: list[str]
    holds: list[str]
    proxies: list[Dead]


class Trouble(Always[Found]):
    """
    What may be the reason that something failed; only asked then.

    + paths: files and folders that the failure is about

    ``{"clock": 1796033236, "rooms": [{"mount": "/boot", "free_bytes": 0,
    "free_inodes": 41}], "immutable": [], "locks": [], "holds": ["libcuda1"], "proxies": []}``
    """

    def command(self, paths: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, [*PLACES, *paths]))
        return framed(f'{HOLDERS}docker=$({DATA_ROOT})\nset -- {words} "$docker"\n{_LOOK}')

    def parse(self, lines: list[str], code: int) -> Found | Unknown:
        found = Found(clock=0, rooms=[], immutable=[], locks=[], holds=[], proxies=[])
        rooms: dict[str, Place] = {}
        for line in filter(None, lines):
            word, _, rest = line.partition(" ")
            if word == "clock":
                found["clock"] = int(rest)
            elif word == "room":
                room, inodes, mount = rest.split(" ", 2)
                place = Place(mount=mount, free_bytes=int(room) * 1024, free_inodes=None)
                place["free_inodes"] = None if inodes == "-" else int(inodes)
                rooms[mount] = place
            elif word == "flags":
                flags, _, path = rest.partition(" ")
                found["immutable"] += [path] * ("i" in flags or "a" in flags)
            elif word == "lock":
                found["locks"].append(rest)
            elif word == "hold":
                found["holds"].append(rest)
            elif word == "dead":
                key, host, file = rest.split(" ", 2)
                found["proxies"].append(Dead(key=key, place=host, file=file))
        found["rooms"] = list(rooms.values())
        return found
