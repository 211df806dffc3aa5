"""Python environments: the interpreter, and every file of every distribution in it."""

from __future__ import annotations

import json
import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.host.ownership import GUARD

# Run by the environment's own interpreter, without site so that nothing in it can interfere.
# A distribution is broken where a file of its RECORD is missing or has another size.
_LOOK = r"""
import csv, json, os, sys
site = sys.argv[1]
found, broken, elsewhere = {}, [], []
for entry in sorted(os.listdir(site)):
    if not entry.endswith(".dist-info"):
        continue
    name, _, version = entry[: -len(".dist-info")].partition("-")
    found[name] = version
    if os.path.exists(os.path.join(site, entry, "direct_url.json")):
        elsewhere.append(name)
    try:
        with open(os.path.join(site, entry, "RECORD"), newline="", encoding="utf-8") as record:
            rows = list(csv.reader(record))
        for path, _, size, *_ in rows:
            if path.endswith(".pyc") or path.startswith(entry + "/INSTALLER"):
                continue
            there = os.stat(os.path.join(site, path)).st_size
            if size and there != int(size):
                raise ValueError(path)
    except (OSError, ValueError):
        broken.append(name)
print(json.dumps({"installed": found, "broken": broken, "elsewhere": elsewhere}))
"""


# What is beside an environment, one line each; `$n` is its name, the working folder its root.
_BESIDE = r"""
printf 'record '; head -c 4000 "$n/.gpurig.json" 2>/dev/null | tr '\n' ' '; echo
[ ! -e "$n/.gpurig-changing" ] || echo changing
[ ! -e ".gpurig/$n.new" ] || echo unfinished
cat "$n.gpurig-old"*/.gpurig-missing 2>/dev/null | sed 's/^/aside /'
"""


class Contents(TypedDict):
    """
    What an environment holds.

    + python: its interpreter's version, ``3.13``
    + installed: version by the distribution's name, as its folder is called
    + broken: distributions with a file missing or of another size
    + elsewhere: those that did not come from an index (a folder, a repository)
    + record: the key of the lock that gpurig made it from; empty where it did not make it
    + changing: whether a change of its packages was cut off; unfinished: whether a building of it
    + aside: what old environments beside it hold that this one lacks, in words
    + open: what in it others than root can change, a sentence; closed: what users cannot read;
      empty where there is nothing such
    """

    python: str
    installed: dict[str, str]
    broken: list[str]
    elsewhere: list[str]
    record: str
    changing: bool
    unfinished: bool
    aside: str
    open: str
    closed: str


class EnvironmentContents(Fact[Contents]):
    """
    One environment; ABSENT where there is none.

    + path: its folder

    ``{"python": "3.13", "installed": {"numpy": "2.5.5", …}, "broken": [], …}``; ``python`` is empty
    where the interpreter does not start, is not started because others can change something in the
    environment, or has no packages of its own, and nothing is known to be broken then.

    Unknown where others can change what leads to the environment, or the Python it is made from.
    """

    def command(self, path: str) -> StringCommand:
        root, _, name = path.rpartition("/")
        site = "lib/python$v/site-packages"
        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        return framed(
            f"{GUARD}p={shlex.quote(path)}; w=$(guarded {shlex.quote(root)});"
            ' [ -z "$w" ] || { echo "$w"; exit 4; };'
            f" cd {shlex.quote(root)} 2>/dev/null || exit 3; n={shlex.quote(name)};"
            f' [ -d "$n" ] || exit 3;{_BESIDE}w=$(within "$p"); [ -z "$w" ] || echo "$w"; echo;'
            ' case $w in open*) v= ;; unseen*) echo "${w#* }"; exit 4 ;; *)'
            ' w=$(guarded_python "$p"); [ -z "$w" ] || { echo "$w"; exit 4; };'
            f' v=$("$n/bin/python" -I -S -c {shlex.quote(version)} 2>/dev/null) || v= ;; esac;'
            f' cd "$n"; [ -d "{site}" ] || v=;'
            ' if [ -z "$v" ]; then echo; for d in lib/python*/site-packages/*.dist-info; do'
            ' [ -d "$d" ] || continue; [ ! -e "$d/direct_url.json" ] || echo "elsewhere $d";'
            ' echo "$d"; done; exit 0; fi; echo "$v"; '
            f'bin/python -I -S -c {shlex.quote(_LOOK)} "{site}"'
        )

    def parse(self, lines: list[str], code: int) -> Contents | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code == 4 and lines:
            return Unknown(lines[-1])
        if code or not lines:
            return Unknown("its packages cannot be listed")
        end = lines.index("")
        beside, (python, *rest) = lines[:end], lines[end + 1 :]
        record = beside[0].removeprefix("record ").strip()
        installed, broken, elsewhere = _told(rest) if python else _left(rest)
        return Contents(
            python=python,
            installed=installed,
            broken=broken,
            elsewhere=elsewhere,
            record=_lock_of(record),
            changing="changing" in beside,
            unfinished="unfinished" in beside,
            aside=_after("aside ", beside),
            open=_after("open ", beside),
            closed=_after("closed ", beside),
        )


def _after(word: str, lines: list[str]) -> str:
    return " ".join(line.removeprefix(word) for line in lines if line.startswith(word))


def _told(lines: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """What the interpreter told."""
    told = json.loads(lines[0])
    if not isinstance(told, dict):
        raise ValueError(lines[0])
    return told["installed"], told["broken"], told["elsewhere"]


def _left(lines: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """What can be seen of an environment whose interpreter does not start."""
    names = [line.rsplit("/", 1)[-1].removesuffix(".dist-info").partition("-") for line in lines]
    away = [
        name[0] for name, line in zip(names, lines, strict=True) if line.startswith("elsewhere ")
    ]
    return {name[0]: name[2] for name in names}, [], away


def _lock_of(record: str) -> str:
    try:
        return str(json.loads(record)["lock"])
    except (ValueError, LookupError, TypeError):
        return ""


class Content(TypedDict):
    """
    A folder's files by name, and the owner and mode of the folder.

    + files: checksum; empty where others than root can change the file, or users cannot read it
    """

    files: dict[str, str]
    owner: str
    mode: str


class Folder(Fact[Content]):
    """
    The files of one folder (no deeper), and whose it is; ABSENT where there is none.

    + path: the folder

    ``{"files": {"matmul.py": "9f86d0…"}, "owner": "root", "mode": "755"}``
    """

    def command(self, path: str) -> StringCommand:
        return framed(
            f"cd {shlex.quote(path)} 2>/dev/null || exit 3; stat -c '%U %a' .;"
            ' for f in *; do [ -f "$f" ] || continue;'
            ' s=$(find "./$f" -uid 0 ! -perm /022 -perm -004 -exec sha256sum {} +);'
            ' echo "${s%% *}  $f"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> Content | Absent | Unknown:
        if code == 3:
            return ABSENT
        owner, mode = lines[0].split()
        files = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines[1:]}
        return Content(files=files, owner=owner, mode=mode)


class Environments(Fact[dict[str, str]]):
    """
    The environments below a folder and the Python each starts with.

    + root: the folder

    ``{"tensorflow": "3.13.5"}``; empty text where an interpreter does not start, a sentence where
    others than root can change what it runs, and it is not started.
    """

    def command(self, root: str = "/opt/gpurig/venvs") -> StringCommand:
        return framed(
            f"{GUARD}cd {shlex.quote(root)} 2>/dev/null || exit 3; for e in */pyvenv.cfg; do"
            ' [ -e "$e" ] || continue; e=${e%/pyvenv.cfg};'
            f' w=$(guarded_python {shlex.quote(root)}/"$e");'
            ' [ -n "$w" ] || w=$("$e/bin/python" -I -S -c'
            " 'import platform; print(platform.python_version())' 2>/dev/null);"
            ' echo "$e $w"; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1].strip() for line in lines}
