"""Who may change a file: itself, what it links to, and every folder on the way to it."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# Before a command: a user without any right of its own runs it, who needs no account.
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all"

# Shell functions for every fact that starts something which gpurig put on the host: root starts
# nothing that others can change. Paths are absolute.
#
# way PATH: each folder and link that leads there, as "uid owner bits mode path"; "- - - - path" for
#   the first that is not there.
# guarded PATH...: a sentence where others than root can change one of these or what leads to it. In
#   a sticky folder (/tmp) nobody replaces what is root's.
# within FOLDER: "open SENTENCE" where others can change it or something below it, else "closed
#   SENTENCE" where users cannot read something, "unseen SENTENCE" where that cannot be told.
# guarded_python ENVIRONMENT: a sentence where others can change what its interpreter is, or reads
#   before it runs a line. Files in /usr/lib are the package manager's; any other Python's count.
GUARD = r"""
way() {
    at='' rest=$1 links=0
    stat -c '%u %U %A %a %n' /
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        case $part in ''|.) continue ;; ..) at=${at%/*}; continue ;; esac
        at=$at/$part
        [ -e "$at" ] || [ -L "$at" ] || { echo "- - - - $at"; return; }
        command stat -c '%u %U %A %a %n' "$at" || { unread ": $at cannot be read"; return; }
        [ -L "$at" ] || continue
        links=$((links + 1))
        [ $links -le 40 ] || { unread ": $at cannot be read"; return; }
        to=$(readlink "$at")
        rest=$to${rest:+/$rest}
        case $to in /*) at='' ;; *) at=${at%/*} ;; esac
    done
}
guarded() {
    for each in "$@"; do way "$each"; done | while read -r uid owner bits mode file; do
        case $uid:$bits in
            0:l*|0:?????-??-?|0:d????????[tT]|-:*) continue ;;
            0:*) echo "others can write $file, mode $mode" ;;
            *) echo "$file belongs to $owner" ;;
        esac
        cat >/dev/null  # `way` writes on: it is not to find the pipe closed
        break
    done
}
within() {
    why=$(guarded "$1")
    [ -z "$why" ] || { echo "open $why"; return; }
    found=$(command find "$1/" -ignore_readdir_race ! -uid 0 -printf 'open %p belongs to %u\n' -o \
        ! -type l -perm /022 -printf 'open others can write %p, mode %m\n' -o \
        \( -type d ! -perm -005 -o -type f ! -perm -004 \) \
        -printf 'closed users cannot read %p, mode %m\n' 2>/dev/null) ||
        { found="unseen $1 cannot be looked through"; unread ": ${found#unseen }"; }
    printf '%s\n' "$found" | LC_ALL=C sort -r | head -n 1
}
guarded_python() {
    home=$([ ! -e "$1/pyvenv.cfg" ] || sed -n 's/^home *= *//p' "$1/pyvenv.cfg")
    why=$(guarded "$1/bin/python" "$1/pyvenv.cfg" ${home:+"$home"} ${home:+"${home%/*}/lib"})
    [ -z "$why" ] || { echo "$why"; return; }
    set -- "$1/bin"
    case $home in
        ''|/usr/bin) ;;
        *) set -- "$1" "${home%/*}"/lib/libpython* "${home%/*}"/lib/python3* ;;
    esac
    for part in "$@"; do
        if [ -d "$part" ]; then why=$(within "$part"); else why="open $(guarded "$part")"; fi
        case $why in 'open '?*|'unseen '*) echo "${why#* }"; return ;; esac
    done
}
"""


class Step(TypedDict):
    """
    One folder or link on the way to a folder.

    + kind: ``folder``, ``link``, ``file``, ``missing``; mode: octal, ``"755"``
    """

    path: str
    kind: str
    owner: str
    mode: str


class Ways(Always[dict[str, list[Step]]]):
    """
    What leads to each of some folders, from the root on, the folder itself last.

    + paths: the folders

    ``{"/opt": [{"path": "/", "kind": "folder", "owner": "root", "mode": "755"}, {"path": "/opt",
    …}]}``; links are followed, and what is not there ends a way as ``missing``.
    """

    def command(self, paths: tuple[str, ...]) -> StringCommand:
        words = " ".join(shlex.quote(path) for path in paths)
        return framed(f'{GUARD}for p in {words}; do echo "to $p"; way "$p"; done')

    def parse(self, lines: list[str], code: int) -> dict[str, list[Step]] | Unknown:
        ways: dict[str, list[Step]] = {}
        steps: list[Step] = []
        for line in lines:
            if line.startswith("to "):
                steps = ways.setdefault(line[3:], [])
                continue
            uid, owner, bits, mode, path = line.split(" ", 4)
            kind = {"d": "folder", "l": "link", "-": "missing" if uid == "-" else "file"}
            steps.append(
                Step(
                    path=path,
                    kind=kind.get(bits[0], "file"),
                    owner="root" if uid == "0" else owner,
                    mode=mode,
                )
            )
        return ways
