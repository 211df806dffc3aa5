"""The Python interpreters that the system brings."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# One line per interpreter, once each although python3 is a link to another of them.
_LISTING = r"""
seen=:
for python in /usr/bin/python3 /usr/bin/python3.[0-9] /usr/bin/python3.[0-9][0-9]; do
    [ -x "$python" ] || continue
    real=$(readlink -f "$python")
    case $seen in *":$real:"*) continue ;; esac
    seen=$seen$real:
    version=$("$python" -V 2>/dev/null) || { [ $? != 137 ] || unread python3 137; continue; }
    printf '%s %s\n' "$python" "$version"
done
exit 0
"""


class Interpreter(TypedDict):
    """``version`` in full, as the interpreter itself says it."""

    path: str
    version: str


class Pythons(Always[list[Interpreter]]):
    """
    The interpreters in /usr/bin that run: the default one first, an empty list if none.

    ``[{"path": "/usr/bin/python3", "version": "3.13.5"}]``. Those of pyenv, conda and virtual
    environments are their user's and not listed.
    """

    def command(self) -> StringCommand:
        return framed(_LISTING)

    def parse(self, lines: list[str], code: int) -> list[Interpreter] | Unknown:
        found: list[Interpreter] = []
        for line in lines:
            path, name, version = line.split()
            if name != "Python":
                return Unknown(f"{path} -V printed {name} {version}")
            found.append({"path": path, "version": version})
        return found
