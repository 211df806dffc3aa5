"""The driver's libraries as programs find them: by the loader's cache, and by what comes before."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.host.loader import LISTED

# Folders in which packages and NVIDIA's installer put them; the loader searches the first ones even
# without its cache.
_FOLDERS = "/usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu /usr/lib64 /usr/lib"
# Where an administrator sets a variable for everybody; a value with a blank is none of a path.
EVERYBODY = "/etc/environment /etc/profile /etc/profile.d/*.sh /etc/bash.bashrc"

_LOOK = r"""
[ -z "$cache" ] || echo nocache
kind=x86-64
[ "$(uname -m)" != aarch64 ] || kind=AArch64
for name in libcuda.so.1 libnvidia-ml.so.1; do
    printf '%s\n' "$loaded" | sed -n "s/^[[:space:]]*$name (libc6,${kind}[^)]*) => //p" |
        while read -r file; do
            [ ! -e "$file" ] || echo "listed $name $file $(readlink -f "$file")"
        done
    for folder in $FOLDERS; do
        [ ! -e "$folder/$name" ] || { echo "there $name $folder/$name"; break; }
    done
done
[ ! -e /etc/ld.so.preload ] || sed 's/#.*//' /etc/ld.so.preload | tr -s ':[:space:]' '\n\n' |
    while read -r file; do
        case $file in *'$'*) ;; /*) [ -e "$file" ] || echo "preload $file" ;; esac
    done
for told in $EVERYBODY; do
    [ ! -e "$told" ] || told=$told awk '
        /^[[:space:]]*(export[[:space:]]+)?LD_(LIBRARY_PATH|PRELOAD)=/ {
            print ENVIRON["told"] ":" FNR ":" $0
        }' "$told"
done | while IFS= read -r line; do
    place=${line%%:*} line=${line#*:} number=${line%%:*}
    printf '%s\n' "${line#*=}" | tr -d "\"'" | tr ':; ' '\n' | while IFS= read -r part; do
        case $part in *'$'*|'') continue ;; esac
        for file in "$part" "$part/libcuda.so.1" "$part/libnvidia-ml.so.1"; do
            [ -f "$file" ] || continue
            echo "variable $place:$number $file $(readlink -f "$file")"
        done
    done
done
exit 0
"""


class Found(TypedDict):
    """
    One file of a library that programs load.

    + place: how they come to it, ``/etc/environment:3``; empty for the loader's cache
    + path: of the file; file: the same without links
    """

    place: str
    path: str
    file: str


class Loads(TypedDict):
    """
    + cache: whether there is a loader's cache
    + listed: by name, what the cache has, the first of which is loaded; there: what lies in the
      usual folders, cache or not
    + before: what a variable that is set for everybody puts before the cache
    + preload: files that /etc/ld.so.preload names and that are not there
    """

    cache: bool
    listed: dict[str, list[Found]]
    there: dict[str, str]
    before: list[Found]
    preload: list[str]


class DriverLoads(Always[Loads]):
    """
    Which libcuda and which NVML a program gets.

    ``{"cache": True, "listed": {"libcuda.so.1": [{"place": "", "path":
    "/lib/x86_64-linux-gnu/libcuda.so.1", "file": "/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01"
    }]}, "there": {"libcuda.so.1": "/usr/lib/x86_64-linux-gnu/libcuda.so.1"}, "before": [],
    "preload": []}``
    """

    def command(self) -> StringCommand:
        return framed(LISTED + _LOOK.replace("$FOLDERS", _FOLDERS).replace("$EVERYBODY", EVERYBODY))

    def parse(self, lines: list[str], code: int) -> Loads | Unknown:
        found = Loads(cache=True, listed={}, there={}, before=[], preload=[])
        for line in lines:
            word, *rest = line.split(" ")
            if word == "nocache":
                found["cache"] = False
            elif word == "listed":
                name, path, file = rest
                entry = Found(place="", path=path, file=file)
                found["listed"].setdefault(name, []).append(entry)
            elif word == "there":
                found["there"][rest[0]] = rest[1]
            elif word == "preload":
                found["preload"].append(rest[0])
            elif word == "variable":
                place, path, file = rest
                found["before"].append(Found(place=place, path=path, file=file))
        return found
