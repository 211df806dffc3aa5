"""Python environments: the interpreter, and every file of every distribution in it."""

from __future__ import annotations

import json
import shlex
from typing import Any, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.environments.search import SEARCHED, Search, searched
from gpurig.facts.host.ownership import GUARD, NOBODY

# Run by the environment's own interpreter, without site so that nothing in it can interfere.
# A distribution is broken where a file of its RECORD is missing or has another size, or a script
# cannot be run. One of the same size is compared with its hash where it was written after RECORD
# and gpurig's record, small ones first: 128 MB are enough for a plan. So is one whose time says
# nothing, but whose inode (time, mode, links) changed since. Where that is so of more than 1000, as
# in a copy, in an environment of an older gpurig or after `chmod -R`, their times are believed.
_LOOK = r"""
import base64, csv, hashlib, json, os, sys
site = sys.argv[1]
found, broken, elsewhere, written, touched = {}, [], [], [], []
try:
    made = os.stat(".gpurig.json").st_mtime_ns
except OSError:
    made = 0
for info in sorted(os.listdir(site)):
    if not info.endswith(".dist-info"):
        continue
    name, _, version = info[: -len(".dist-info")].partition("-")
    found[name] = version
    if os.path.exists(os.path.join(site, info, "direct_url.json")):
        elsewhere.append(name)
    try:
        with open(os.path.join(site, info, "RECORD"), newline="", encoding="utf-8") as record:
            rows = list(csv.reader(record))
            if not rows:
                raise ValueError(info)
            since = max(made, os.fstat(record.fileno()).st_mtime_ns)
        for path, digest, size, *_ in rows:
            if path.endswith(".pyc") or path.startswith(info + "/INSTALLER"):
                continue
            there = os.stat(os.path.join(site, path))
            if size and there.st_size != int(size):
                raise ValueError(path)
            if path.startswith("../../../bin/") and not there.st_mode & 0o001:
                with open(os.path.join(site, path), "rb") as script:
                    if script.read(2) == b"#!":
                        raise ValueError(path)
            if there.st_ctime_ns > since and digest.startswith("sha256="):
                which = written if there.st_mtime_ns > since else touched
                which.append((there.st_size, path, digest[7:], name))
    except (OSError, ValueError, csv.Error):
        broken.append(name)
left = 128 << 20
for size, path, digest, name in sorted(written + (touched if len(touched) <= 1000 else [])):
    left -= size
    if left < 0:
        break
    found_sum = hashlib.sha256()
    try:
        with open(os.path.join(site, path), "rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                found_sum.update(part)
    except OSError:
        digest = "cannot be read"
    if base64.urlsafe_b64encode(found_sum.digest()).decode().rstrip("=") != digest:
        broken.append(name)
print(json.dumps({"installed": found, "broken": sorted({*broken}), "elsewhere": elsewhere}))
"""


# What is beside an environment, one line each; `$n` is its name, the working folder its root.
_BESIDE = r"""
printf 'record '; [ ! -e "$n/.gpurig.json" ] || head -c 40000 "$n/.gpurig.json" | tr '\n' ' '; echo
[ ! -e "$n/.gpurig-changing" ] || echo changing
[ ! -e ".gpurig/$n.new" ] || echo unfinished
for f in "$n.gpurig-old"*/.gpurig-missing; do [ ! -e "$f" ] || sed 's/^/aside /' "$f"; done
"""

# Environments stand on a Python that users start as well; gpurig's own have their own promises. By
# a shell: what setpriv itself starts begins with root's rights.
_BY_USERS = f"""
r=
[ -z "$v" ] || r=$(readlink -f "$n/bin/python")
case $r in
    ''|/opt/gpurig/*|"$p"/*) ;;
    *)
        s=$({NOBODY} sh -c 'exec "$0" -I -S -c ""' "$r" 2>&1) || {{
            echo "users cannot start $r (${{s##*: }}); see namei -l $r"; exit 4; }} ;;
esac
"""


class Contents(TypedDict):
    """
    What an environment holds.

    + python: its interpreter's version, ``3.13``
    + installed: version by the distribution's name, as its folder is called
    + broken: distributions with a file missing, of another size or with another content
    + elsewhere: those that did not come from an index (a folder, a repository)
    + record: the key of the lock that gpurig made it from; empty where it did not make it
    + own: names of the packages that gpurig put there with that lock; none by an older gpurig
    + changing: whether a change of its packages was cut off; unfinished: whether a building of it
    + aside: what old environments beside it hold that this one lacks, in words
    + open: what in it others than root can change, a sentence; closed: what users cannot read;
      empty where there is nothing such
    + lost, hidden: whether and why its packages are not found, as `search` says
    """

    python: str
    installed: dict[str, str]
    broken: list[str]
    elsewhere: list[str]
    record: str
    own: list[str]
    changing: bool
    unfinished: bool
    aside: str
    open: str
    closed: str
    lost: bool
    hidden: list[str]


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
            f" into {shlex.quote(root)} || exit 3; n={shlex.quote(name)};"
            f' [ -d "$n" ] || exit 3;{_BESIDE}w=$(within "$p"); [ -z "$w" ] || echo "$w"; echo;'
            ' case $w in open*) v= ;; unseen*) echo "${w#* }"; exit 4 ;; *)'
            ' w=$(guarded_python "$p"); [ -z "$w" ] || { echo "$w"; exit 4; };'
            f' v=$("$n/bin/python" -I -S -c {shlex.quote(version)} 2>/dev/null) ||'
            " { [ $? != 137 ] || unread python 137; v=; } ;; esac;"  # without memory, it is whole
            f'{_BY_USERS} cd "$n"; [ -d "{site}" ] || v=;'
            ' if [ -z "$v" ]; then echo; for d in lib/python*/site-packages/*.dist-info; do'
            ' [ -d "$d" ] || continue; [ ! -e "$d/direct_url.json" ] || echo "elsewhere $d";'
            ' echo "$d"; done; exit 0; fi; echo "$v"; '
            f'bin/python -I -S -c {shlex.quote(_LOOK)} "{site}" || exit;'
            f" {SEARCHED}"
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
        record = _record(beside[0].removeprefix("record "))
        installed, broken, elsewhere = _told(rest) if python else _left(rest)
        search = searched(rest[1]) if python else Search(lost=False, hidden=[])
        return Contents(
            python=python,
            installed=installed,
            broken=broken,
            elsewhere=elsewhere,
            record=str(record.get("lock", "")),
            own=str(record.get("packages", "")).split(),
            changing="changing" in beside,
            unfinished="unfinished" in beside,
            aside=_after("aside ", beside),
            open=_after("open ", beside),
            closed=_after("closed ", beside),
            lost=search["lost"],
            hidden=search["hidden"],
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


def _record(text: str) -> dict[str, Any]:
    """gpurig's own record in an environment; empty where there is none that can be read."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class Content(TypedDict):
    """
    A folder's files by name, and the owner and mode of the folder.

    + files: checksum; empty where others than root can change the file, or users cannot read it
    + modes: whose such a file is, and its mode, ``root 666``
    """

    files: dict[str, str]
    modes: dict[str, str]
    owner: str
    mode: str


class Folder(Fact[Content]):
    """
    The files of one folder (no deeper), and whose it is; ABSENT where there is none.

    + path: the folder

    ``{"files": {"matmul.py": "9f86d0…"}, "modes": {}, "owner": "root", "mode": "755"}``
    """

    def command(self, path: str) -> StringCommand:
        return framed(
            f"into {shlex.quote(path)} || exit 3; stat -c '%U %a' .;"
            ' for f in *; do [ -f "$f" ] || continue;'
            ' s=$(find "./$f" -uid 0 ! -perm /022 -perm -004 -exec sha256sum {} +);'
            ' [ -n "$s" ] || s=$(stat -L -c "%u=%U=%a" "./$f"); echo "${s%% *}  $f"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> Content | Absent | Unknown:
        if code == 3:
            return ABSENT
        owner, mode = lines[0].split()
        found = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines[1:]}
        modes = {}
        for name, said in found.items():
            if "=" in said:
                uid, whose, its_mode = said.split("=")
                modes[name] = f"{'root' if uid == '0' else whose} {its_mode}"
        files = {name: "" if name in modes else said for name, said in found.items()}
        return Content(files=files, modes=modes, owner=owner, mode=mode)


class Environments(Fact[dict[str, str]]):
    """
    The environments below a folder and the Python each starts with.

    + root: the folder

    ``{"tensorflow": "3.13.5"}``; empty text where an interpreter does not start, a sentence where
    others than root can change what it runs, and it is not started.
    """

    def command(self, root: str = "/opt/gpurig/venvs") -> StringCommand:
        return framed(
            f"{GUARD}into {shlex.quote(root)} || exit 3; for e in */pyvenv.cfg; do"
            ' [ -e "$e" ] || continue; e=${e%/pyvenv.cfg};'
            f' w=$(guarded_python {shlex.quote(root)}/"$e");'
            ' [ -n "$w" ] || w=$("$e/bin/python" -I -S -c'
            " 'import platform; print(platform.python_version())' 2>/dev/null) ||"
            ' [ $? != 137 ] || unread python 137; echo "$e $w"; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1].strip() for line in lines}
