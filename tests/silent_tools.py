"""A host whose tools do not answer, one at a time, and what each fact then makes of it."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact

# How a tool ends without an answer: before its first word, by a signal (as the kernel kills where
# memory is short), and in the middle of what it would have printed.
WAYS = ("silent", "killed", "half")

# Stands under the names of all tools in a folder at the front of PATH. A tool that dies gives no
# reason.
_STANDIN = r"""#!/bin/sh
name=${0##*/}
echo "$name" >>"$FOLDER/called"
[ "$name" = "$LOST" ] || exec "$FOLDER/real/$name" "$@"
case $WAY in
silent) exit 1 ;;
killed) kill -9 $$ ;;
half)
    "$FOLDER/real/$name" "$@" >"$FOLDER/whole" 2>/dev/null
    length=$("$FOLDER/real/stat" -c %s "$FOLDER/whole")
    "$FOLDER/real/head" -c $((length / 2)) "$FOLDER/whole"
    exit 1 ;;
esac
"""

# The shells that run the scripts themselves stay as they are.
_STANDINS = r"""
rm -rf "$FOLDER"
mkdir -p "$FOLDER/tools" "$FOLDER/real" "$FOLDER/facts" || exit 1
printf %s "$STANDIN" >"$FOLDER/standin"
chmod 755 "$FOLDER" "$FOLDER/standin"
for name in stat head $NAMES; do
    case $name in sh|dash|bash) continue ;; esac
    case $(command -v "$name") in
        /*) ln -sf "$(command -v "$name")" "$FOLDER/real/$name"
            ln -sf ../standin "$FOLDER/tools/$name" ;;
    esac
done
"""

# Each fact as it is, then once for each tool that it called and each way.
_ASK = r"""
cd "$FOLDER" || exit 1
ask() { LOST=$1 WAY=$2 PATH=$FOLDER/tools:$PATH /bin/sh "$3" </dev/null 2>/dev/null; }
for script in facts/*; do
    : >called
    ask '' '' "$script" >as-it-is
    sort -u called >needed
    printf '#=# %s\n' "${script#*/}"
    cat as-it-is
    while read -r tool; do
        for way in $WAYS; do
            ask "$tool" "$way" "$script" >lost
            printf '\n#=# %s %s %s\n' "${script#*/}" "$tool" "$way"
            if cmp -s as-it-is lost; then echo same; else cat lost; fi
        done
    done <needed
done
rm -rf "$FOLDER"
"""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def script(fact: type[Fact[Any]], arguments: Mapping[str, Any]) -> str:
    """The fact's own script, asked with those of these arguments that it takes."""
    asked = inspect.signature(fact.command).parameters
    given = {name: value for name, value in arguments.items() if name in asked}
    return str(StringCommand(fact().command(**given)).get_raw_value())


def asking(scripts: Mapping[str, str], folder: str = "/tmp/silent-tools") -> str:
    """A program for ``sh`` that asks each of these facts with each of its tools lost."""
    names = sorted({word for text in scripts.values() for word in _WORD.findall(text)})
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
        "FOLDER": folder, "STANDIN": _STANDIN, "NAMES": " ".join(names), "WAYS": " ".join(WAYS),
    }  # fmt: skip
    exported = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    facts = [f"printf %s {shlex.quote(text)} >$FOLDER/facts/{one}" for one, text in scripts.items()]
    return "\n".join([*exported, _STANDINS, *facts, _ASK])


def answers(printed: str) -> Iterator[tuple[str, str, str, list[str] | None]]:
    """
    The fact, the lost tool and the way of each answer, and its lines.

    Without a tool and a way: as the fact is. None: the same answer as that.
    """
    for block in re.split(r"^#=# ", printed, flags=re.MULTILINE)[1:]:
        head, _, text = block.partition("\n")
        fact, tool, way = [*head.split(" "), "", ""][:3]
        lines = text.split("\n")
        yield fact, tool, way, None if lines[0] == "same" else lines
