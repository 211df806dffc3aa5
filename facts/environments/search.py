"""Where an environment's interpreter looks for packages, tried as a user who may do nothing."""

from __future__ import annotations

import json
import shlex
from typing import TypedDict

# What an administrator sets for everybody is read as text: a shell of a user is not started.
_SEARCH = r"""
import glob, json, os, re, sys
prefix, site = sys.argv[1:]
told = {"lost": not os.path.samefile(sys.prefix, prefix), "hidden": []}
real = [os.path.realpath(one) for one in sys.path]
own = os.path.realpath(site)
def importable(folder):
    for name in os.listdir(folder):
        part, _, kind = name.partition(".")
        if kind in ("py", "pyc") or name.endswith(".so"):
            yield part
        elif os.path.exists(os.path.join(folder, name, "__init__.py")):
            yield name

names = set(importable(own))
standard = os.path.dirname(os.path.realpath(os.__file__))

def hides(folder, place):
    try:
        there = set(importable(folder))
    except OSError:
        return
    for name in sorted(there & names)[:1]:
        said = "%s hides its %s (%s)" % (folder, name, place)
        told["hidden"] += [said] * (said not in told["hidden"])

def told_by(folder):
    for file in glob.glob(own + "/*.pth"):
        with open(file, encoding="utf-8", errors="replace") as text:
            if folder in text.read():
                return file
    return "on its search path"

if own in real:
    for folder in real[: real.index(own)]:
        if folder != standard and not folder.startswith(standard + "/"):
            hides(folder, told_by(folder))
elif not told["lost"]:
    custom = getattr(sys.modules.get("sitecustomize"), "__file__", None) or "a .pth file"
    told["hidden"].append("%s takes its packages off the search path" % custom)
line = re.compile(r"\s*(?:export\s+)?(PYTHONPATH|PYTHONHOME)=(.*)")
for file in ["/etc/environment", "/etc/profile", *sorted(glob.glob("/etc/profile.d/*.sh"))]:
    try:
        lines = open(file, encoding="utf-8", errors="replace").read().splitlines()
    except OSError:
        continue
    for number, found in enumerate(map(line.match, lines), 1):
        place = "%s:%d" % (file, number)
        value = found[2].replace('"', "").replace("'", "").strip() if found else ""
        if found and found[1] == "PYTHONHOME" and value:
            told["hidden"].append("PYTHONHOME is set (%s), and no other Python starts" % place)
        elif found:
            for folder in re.split("[:; ]", value):
                if folder and "$" not in folder and os.path.realpath(folder) != own:
                    hides(folder, place)
print(json.dumps(told))
"""

# Shell: after the interpreter of version $v has told its packages, in the environment's folder $p.
SEARCHED = (
    "cd /; command -v setpriv >/dev/null || { unread setpriv 127; exit 0; };"
    " setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=/usr/bin:/bin"
    f' timeout 20 "$p/bin/python" -I -c {shlex.quote(_SEARCH)} "$p"'
    ' "$p/lib/python$v/site-packages" 2>/dev/null ||'
    " { s=$?; case $s in 124|137) unread python $s; exit 0 ;; *) echo ;; esac; }"
)


class Search(TypedDict):
    """
    + lost: whether the interpreter is not one of this environment, as without its pyvenv.cfg
    + hidden: what keeps its packages from being found, each a sentence
    """

    lost: bool
    hidden: list[str]


def searched(line: str) -> Search:
    """What the search told; where a user cannot start it, that is what keeps them from it."""
    if not line.startswith("{"):
        return Search(lost=False, hidden=["users cannot start its interpreter"])
    told: Search = json.loads(line)
    return told
