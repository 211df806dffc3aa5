"""The folders that gpurig makes are root's, and so is everything that leads to them."""

from __future__ import annotations

import shlex
from collections.abc import Container

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, Ended, drift, follows, holds, keeps, unknown
from gpurig.facts.host.ownership import Step, Ways

OURS = "/opt/gpurig"


@keeps("{promise}")
def folders(promise: str, paths: tuple[str, ...]) -> Commands:
    """
    These folders are root's with mode 755, and what leads to them can be changed by root alone.

    + promise: its id, ``workloads.folders``
    + paths: gpurig's own folders, a parent before what lies in it

    What others can write on the way, or users cannot enter, is the administrator's: it is named
    with the command, and never changed.
    """
    ways = known(Ways, paths=paths)
    own = {ways[path][-1]["path"] for path in paths}
    steps = (step for path in paths for step in ways[path])
    if wrong := next(filter(None, (_wrong(step, own) for step in steps)), ""):
        return unknown(wrong)
    wrong_ones = [path for path in paths if not _right(ways[path][-1])]
    if not wrong_ones:
        return holds(", ".join(paths))
    drift(
        actual=", ".join(_seen(path, ways[path][-1]) for path in wrong_ones),
        wanted="owner root, mode 755",
        will=f"set owner root and mode 755 for {', '.join(wrong_ones)}",
    )
    for path in wrong_ones:
        folder = shlex.quote(path)
        # Its parent is root's by now; a link that somebody put there before is not followed.
        yield StringCommand(
            f'if [ -L {folder} ] && [ "$(stat -c %u {folder})" != 0 ]; then'
            f" echo {shlex.quote(f'{path} is now a link; remove it')} >&2; exit 1; fi;"
            f" mkdir -p {folder} && chown root:root {folder} && chmod 755 {folder}"
        )


def root_alone(promise: str, path: str) -> None:
    """
    End an operation below a folder where others than root can change what leads there.

    + promise: the folder's, ``workloads.folders``, which it then follows; path: the folder

    There nothing is built, and nothing is trusted.
    """
    if any(_open(step) for step in known(Ways, paths=(path,))[path]):
        follows(promise)
        raise Ended


def _open(step: Step) -> bool:
    """Whether others than root can change it, or replace what is in it."""
    if step["kind"] == "missing":
        return False
    sticky = step["kind"] == "folder" and _bits(step) & 0o1000
    writable = step["kind"] != "link" and _bits(step) & 0o022 and not sticky
    return step["owner"] != "root" or bool(writable)


def _wrong(step: Step, own: Container[str]) -> str:
    """What gpurig does not set right, in a sentence; own: the paths of its own folders."""
    is_ours = step["path"] in own and step["kind"] != "link"
    return _no_folder(step) if is_ours else _foreign(step)


def _no_folder(step: Step) -> str:
    return f"{step['path']} is not a folder" if step["kind"] == "file" else ""


def _foreign(step: Step) -> str:
    """What is wrong with a folder or link that is not gpurig's, and the command against it."""
    path, owner, mode = step["path"], step["owner"], step["mode"]
    name = shlex.quote(path)
    if step["kind"] == "link":
        return f"{path} is a link of {owner}; run: rm {name}" if _open(step) else ""
    if owner != "root" and step["kind"] != "missing":
        return f"{path} belongs to {owner}, mode {mode}; run: chown root {name}"
    if _open(step):
        return f"others can write {path}, mode {mode}; run: chmod go-w {name}"
    if step["kind"] == "folder" and not _bits(step) & 0o001:
        return f"users cannot enter {path}, mode {mode}; run: chmod o+x {name}"
    return _no_folder(step)


def _right(step: Step) -> bool:
    return step["kind"] == "folder" and step["owner"] == "root" and _bits(step) & 0o777 == 0o755


def _seen(path: str, step: Step) -> str:
    if step["kind"] == "missing":
        return f"no {path}"
    return f"{path} has owner {step['owner']}, mode {step['mode']}"


def _bits(step: Step) -> int:
    return int(step["mode"], 8) if step["kind"] != "missing" else 0
