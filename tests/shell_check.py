"""What is wrong with a shell script of ours: dash does not read it, or shellcheck warns of it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache

BLANK = "/srv/a b"

# What a script must hold as one word. Outside of single quotes the first is an error of syntax, in
# which place soever, or makes the file `canary`.
HOSTILE = {
    "all at once": "/srv/a b)'c\"$(touch canary) $(` ;touch canary # * $HOME \u043f\\",
    "a line end": "/srv/a\ntouch canary\n",
    "an option": "-rf",
}

# Unquoted: an expansion, a command, all arguments.
UNQUOTED = {2086, 2046, 2048, 2068, 2206, 2207}
SYNTAX = 2000  # errors with codes below this one: what shellcheck cannot read
# The one way in which a text is split on purpose.
SPLIT = "set -- "


def complaints(script: str) -> Iterator[str]:
    """Each thing that is wrong with a script, and with those that it hands to another shell."""
    if said := not_read(script):
        yield said
        return
    told = json.loads(_shellcheck(script))
    lines = script.split("\n")
    for one in told:
        before = lines[one["line"] - 1][: one["column"] - 1]
        unread = one["level"] == "error" and one["code"] < SYNTAX
        if unread or (one["code"] in UNQUOTED and not before.endswith(SPLIT)):
            yield f"SC{one['code']} {one['message']}: {lines[one['line'] - 1][one['column'] - 1 :]}"
    words = shlex.split(script)
    for shell, option, inner in zip(words, words[1:], words[2:], strict=False):
        if shell.rpartition("/")[2] in ("sh", "bash", "dash") and option in ("-c", "-ec", "-lc"):
            yield from complaints(inner)


def not_read(script: str) -> str:
    """What dash says of a script that it cannot read."""
    done = subprocess.run(["dash", "-n"], input=script, capture_output=True, text=True, check=False)
    return done.stderr


@cache
def _shellcheck(script: str) -> str:
    command = ["shellcheck", "--shell=dash", "--norc", "--format=json", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout
