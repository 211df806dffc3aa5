"""Files that bear gpurig's mark, and what lies in the folders that it makes."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.packages.dpkg import QUERY
from gpurig.facts.packages.rpm import OWNED

# What stands in the first line of every file that gpurig writes into a folder of the system's; the
# lines of tmpfiles.d have no comment.
_MARK = "^(# Written by gpurig|d /run/cdi 0755 root root -$)"
SOURCES = "/etc/apt/sources.list.d/gpurig-"
REPOSITORIES = "/etc/yum.repos.d/gpurig-"


class MarkedFiles(Always[dict[str, bool]]):
    """
    Those of these files that are there, and whether gpurig's mark says that it wrote them.

    + globs: absolute paths, which may have ``*``

    ``{"/etc/apt/sources.list.d/gpurig-docker.sources": True}``
    """

    def command(self, globs: tuple[str, ...]) -> StringCommand:
        words = ("*".join(map(shlex.quote, glob.split("*"))) for glob in globs)
        return framed(
            f'for f in {" ".join(words)}; do [ -e "$f" ] || [ -L "$f" ] || continue;'
            ' if [ -f "$f" ] && [ ! -L "$f" ] &&'
            f' [ -n "$(head -n 1 "$f" | sed -nE "\\~{_MARK}~p")" ]; then'
            ' echo "ours $f"; else echo "other $f"; fi; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, bool] | Unknown:
        if code:
            return Unknown("the files of gpurig in /etc cannot be listed")
        told = [line.split(" ", 1) for line in lines if line]
        return {path: word == "ours" for word, path in told}


class RepositoryKeys(Always[list[str]]):
    """
    The key files of gpurig's own repositories, ``["/usr/share/keyrings/docker.gpg"]``.

    A key is gpurig's where a source that bears its mark names it, it has the name of that source,
    no other source names it, and no package brought it.
    """

    def command(self) -> StringCommand:
        return framed(
            f"{QUERY}{OWNED}"
            ' names() { [ -n "$(k=$1 awk "index(\\$0, ENVIRON[\\"k\\"]) { print; exit }"'
            ' "$2")" ]; };'
            f' ours() {{ for f in "$@"; do [ -f "$f" ] &&'
            f' [ -n "$(head -n 1 "$f" | sed -nE "\\~{_MARK}~p")" ] && echo "$f"; done; }};'
            f" ours {SOURCES}*.sources {REPOSITORIES}*.repo | while read -r f; do"
            " n=${f##*/gpurig-};"
            " case $f in *.sources) k=/usr/share/keyrings/${n%.sources}.gpg;;"
            " *) k=/etc/pki/rpm-gpg/gpurig-${n%.repo};; esac;"
            ' [ -f "$k" ] && names "$k" "$f" || continue;'
            " for o in /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*; do"
            ' [ ! -f "$o" ] || [ "$o" = "$f" ] || ! names "$k" "$o" || continue 2; done;'
            ' if command -v dpkg-query >/dev/null; then query -S "$k"; [ -z "$known" ];'
            ' else ! owned "$k"; fi && echo "$k"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        return Unknown("the keys of repositories cannot be read") if code else lines


class Contents(Always[dict[str, list[str]]]):
    """
    The names in some folders, hidden ones as well; of those folders that are there.

    + folders: absolute paths

    ``{"/opt/gpurig": ["tools", "venvs"]}``
    """

    def command(self, folders: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, folders))
        return framed(
            f'for d in {words}; do [ -d "$d" ] || continue; echo "in $d";'
            " find \"$d/\" -mindepth 1 -maxdepth 1 -printf 'has %f\\n' | LC_ALL=C sort; done"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, list[str]] | Unknown:
        if code:
            return Unknown("gpurig's folders cannot be listed")
        found: dict[str, list[str]] = {}
        names: list[str] = []
        for line in lines:
            word, rest = line.split(" ", 1)
            if word == "in":
                names = found.setdefault(rest, [])
            else:
                names.append(rest)
        return found


# The processes that have a file of a folder in memory; one that has ended meanwhile is passed over.
_MAPS = (
    "BEGIN { for (i = 1; i < ARGC; i++) { while ((getline l < ARGV[i]) > 0)"
    ' if (index(l, " " ENVIRON["d"] "/")) { print ARGV[i]; break } close(ARGV[i]) } }'
)


class Process(TypedDict):
    """A process: its number and its user."""

    pid: str
    user: str


class Using(Always[dict[str, list[Process]]]):
    """
    Processes that have loaded something from one of these folders, by folder.

    + folders: absolute paths

    ``{"/opt/gpurig/venvs/pytorch": [{"pid": "412", "user": "ann"}]}``
    """

    def command(self, folders: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, folders))
        return framed(
            f"for d in {words}; do"
            f" for p in $(d=\"$d\" awk '{_MAPS}' /proc/[0-9]*/maps); do p=${{p%/maps}};"
            ' u=$(command stat -c %U "$p" 2>/dev/null) && echo "${p##*/} $u $d" ||'
            ' [ ! -e "$p" ] || unread stat 1; done; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, list[Process]] | Unknown:
        found: dict[str, list[Process]] = {}
        for line in lines:
            pid, user, folder = line.split(" ", 2)
            found.setdefault(folder, []).append(Process(pid=pid, user=user))
        return found
