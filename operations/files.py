"""What gpurig wrote into folders of the system is root's, and its readers can read it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, unknown
from gpurig.facts.container_toolkit.toolkit import CONFIG
from gpurig.facts.cuda import PROFILE
from gpurig.facts.docker.daemon_json import DAEMON_JSON
from gpurig.facts.docker.daemon_json import RECORD as CONFIGURED
from gpurig.facts.docker.proxy import DROP_IN
from gpurig.facts.driver.initramfs import DRACUT
from gpurig.facts.driver.initramfs import RECORD as INITRAMFS
from gpurig.facts.environments.jupyter import KERNELS
from gpurig.facts.host.access import Access, Place
from gpurig.facts.host.proven import RECORD as PROVEN
from gpurig.facts.images import NOTES
from gpurig.facts.kernel.grub import DROP_IN as GRUB
from gpurig.facts.removal.files import REPOSITORIES, SOURCES
from gpurig.facts.removal.made import RECORD as MADE
from gpurig.facts.rootless import UNIT
from gpurig.operations.container_toolkit.device_links import RULE
from gpurig.operations.cuda import LOADER_FILE
from gpurig.operations.driver.modprobe import FILE as BLACKLIST
from gpurig.operations.driver.nodes import RULE as NODES
from gpurig.operations.rootless.unit import FOLDER_FILE
from gpurig.operations.shared.words import few

_KERNEL = f"{KERNELS}/gpurig-*"
# Keys of repositories have their own promises, and so have /opt/gpurig, /var/lib/gpurig and the
# specs of CDI.
_READ_BY_ALL = (
    f"{SOURCES}*.sources", "/etc/apt/preferences.d/gpurig-*", f"{REPOSITORIES}*.repo", PROFILE,
    LOADER_FILE, UNIT, _KERNEL, f"{_KERNEL}/kernel.json",
    CONFIG,
)  # fmt: skip
# Of these only root needs to read: what else their modes say is the user's or no matter.
_ROOT_S = (
    BLACKLIST, RULE, NODES, DRACUT, FOLDER_FILE, GRUB, DROP_IN, DAEMON_JSON, MADE, PROVEN,
    INITRAMFS, NOTES, f"{NOTES}/*.id", "/run/gpurig", CONFIGURED, "/etc/gpurig",
)  # fmt: skip
# The user's own, where gpurig keeps keys: a link to it leads where its owner wants.
_SHARED = (DAEMON_JSON, CONFIG)
# These may be somebody else's, and are then left.
_NAMED = (UNIT, f"{_KERNEL}/kernel.json")


@keeps("files.access")
def access() -> Commands:
    """
    Only root can change gpurig's files in folders of the system; what users read, they can read.

    This is tried as a user without an account: a folder that leads there counts as well. That one
    is not gpurig's; it is named with the command, and never changed.
    """
    found = known(Access, globs=(*_READ_BY_ALL, *_ROOT_S))
    ours = {path: one for path, one in found.items() if _counts(path, found)}
    wrong = {path: one for path, one in ours.items() if one["kind"] != "link" and _mode(path, one)}
    if not wrong:
        if told := next(filter(None, (_not_ours(path, one) for path, one in ours.items())), ""):
            return unknown(told)
        return holds(f"{len(ours)} files and folders" if ours else "gpurig has no files here yet")
    modes = sorted({_mode(path, one) for path, one in wrong.items()})
    drift(
        actual=few([_seen(path, one) for path, one in wrong.items()]),
        wanted=f"owner root, mode {' or '.join(modes)}",
        will=f"set owner and mode of {few(list(wrong))}",
        leaves="what is in them",
    )
    for path, one in wrong.items():
        file = shlex.quote(path)
        owner = "root" if path in _SHARED else "root:root"  # their group is an administrator's
        yield StringCommand(f"chown {owner} {file} && chmod {_mode(path, one)} {file}")


def _counts(path: str, found: Mapping[str, Place]) -> bool:
    if _is_in(path, (_KERNEL,)):
        path = f"{path}/kernel.json"
        return path in found and found[path]["names_gpurig"]
    if path in _SHARED:
        return found[path]["kind"] != "link"
    return found[path]["names_gpurig"] or not _is_in(path, _NAMED)


def _mode(path: str, one: Place) -> str:
    """The mode that it is given; empty where its mode and owner are right."""
    is_, public = int(one["mode"], 8), _is_in(path, _READ_BY_ALL)
    needed = (0o555 if one["kind"] == "folder" else 0o444) if public else 0
    # A group that may write daemon.json is its administrator's choice.
    others = 0o002 if path == DAEMON_JSON else 0o022
    if one["owner"] == "root" and is_ & needed == needed and not is_ & others:
        return ""
    if path in _SHARED:
        return f"{is_ & ~others | needed:o}"
    return "755" if one["kind"] == "folder" else "644"


def _not_ours(path: str, one: Place) -> str:
    """What gpurig does not change, in a sentence with the command; else empty."""
    if one["kind"] == "link":
        return f"{path} is a link, which gpurig did not make; run: rm {shlex.quote(path)}"
    if one["readable"] or not _is_in(path, _READ_BY_ALL):
        return ""
    mode, _, folder = one["shut"].partition(" ")
    if not folder:
        return f"users cannot read {path}, although its mode allows it; see getfacl {path}"
    told = f"users cannot enter {folder}, mode {mode}, and so not read {path}"
    return f"{told}; run: chmod o+x {shlex.quote(folder)}"


def _is_in(path: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, glob) and path.count("/") == glob.count("/") for glob in globs)


def _seen(path: str, one: Mapping[str, object]) -> str:
    return f"{path} has owner {one['owner']}, mode {one['mode']}"
