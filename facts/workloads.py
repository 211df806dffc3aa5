"""The archives of a data set, in the folder in which programs look for them."""

from __future__ import annotations

import shlex
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

FOLDER = "/var/lib/gpurig/datasets/archives"


# As the user: what it cannot read.
_TRIED = """'for f do [ -r "$f" ] || echo "closed $f"; done'"""


class Archive(TypedDict):
    """
    One file.

    + sha256: of its bytes; head: its first two bytes in hexadecimal, shorter where it has fewer
    + closed: whether the user cannot read it
    """

    sha256: str
    head: str
    closed: bool


class Found(TypedDict):
    """Whose the folder is, and its files by name."""

    owner: str
    files: dict[str, Archive]


class Archives(Fact[Found]):
    """
    The archives ``*.gz``; ABSENT where there is no such folder.

    + path: the folder; user: who reads them, an account or nobody yet

    ``{"owner": "ann", "files": {"t10k-labels-idx1-ubyte.gz": {"sha256": "f7ae…", "head":
    "1f8b", "closed": False}}}``
    """

    def command(self, path: str = FOLDER, user: str = "gpurig") -> StringCommand:
        name = shlex.quote(user)
        return framed(
            f"into {shlex.quote(path)} || exit 3; stat -c %U .;"
            f" ! entry passwd {name} >/dev/null || runuser -u {name} -- sh -c {_TRIED} sh *.gz"
            " || exit 4; for f in *.gz; do"
            ' [ -f "$f" ] || continue; s=$(sha256sum < "$f"); echo "${s%% *}'
            ' $(head -c 2 "$f" | od -An -tx1 | tr -d \' \') $f"; done; :'
        )

    def parse(self, lines: list[str], code: int) -> Found | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code or not lines or not lines[0]:
            return Unknown("the archives cannot be listed")
        closed = {line.removeprefix("closed ") for line in lines if line.startswith("closed ")}
        files = {}
        for line in lines[1:]:
            if not line.startswith("closed "):
                sha256, head, name = line.split(" ", 2)
                files[name] = Archive(sha256=sha256, head=head, closed=name in closed)
        return Found(owner=lines[0], files=files)
