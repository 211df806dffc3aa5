"""
Files of the control machine: gpurig's folders, what is read there, what is written, and by turns.

Files are read where nobody else may write, and written for the user alone, whole or not at all.

As ssh and sudo have it: what somebody else can change is not read, since it may become root on
hosts. Every folder, link and file on the way to a file belongs to the user or to root, and nobody
else may write to it. Two rights are no danger and are usual: a folder like /tmp, whose sticky bit
leaves each entry to its owner, and a group that has no other member than the user and root (Debian
and Ubuntu give each user such a group).
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import secrets
import shlex
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gpurig.errors import GpurigError, InputError

_LINKS = 40  # as many in one path as Linux follows
_ACL = "system.posix_acl_access"  # with one, the group's bits stand for all that it names
_PATIENCE = 14400  # seconds: twice as long as one download may take, unless rig_limits raises that
_FOLDERS = {
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}


def cache() -> Path:
    """gpurig's folder of what can be had again."""
    return _folder_of("XDG_CACHE_HOME")


def configuration() -> Path:
    """gpurig's folder of what the user has decided."""
    return _folder_of("XDG_CONFIG_HOME")


def data() -> Path:
    """gpurig's folder of what it has read for the user."""
    return _folder_of("XDG_DATA_HOME")


def state() -> Path:
    """gpurig's folder of what runs leave behind."""
    return _folder_of("XDG_STATE_HOME")


def _folder_of(variable: str) -> Path:
    # The XDG base directory specification has relative ones ignored.
    given = os.environ.get(variable, "")
    return (Path(given) if given.startswith("/") else _home() / _FOLDERS[variable]) / "gpurig"


def _home() -> Path:
    """The user's home folder; InputError where there is none, rather than make one somewhere."""
    home = os.environ.get("HOME", "")
    if not home:
        with suppress(KeyError):
            home = pwd.getpwuid(os.getuid()).pw_dir
    if not home.startswith("/") or not Path(home).is_dir():
        what = f"your home folder {home!r} does not exist" if home else "you have no home folder"
        raise InputError("home-missing", what, "HOME", "set HOME to an absolute path of a folder")
    return Path(home)


def refuse_foreign(path: Path) -> None:
    """InputError if anybody but the user and root can change what is, or comes to be, at a path."""
    ours, whole = _users(), Path.cwd() / path
    for step, found in _way(whole):
        because = "because it" if step == whole else f"because {step}"
        if found.st_uid not in ours:
            raise InputError(
                "file-foreign",
                f"gpurig does not use it, {because} belongs to {_user(found.st_uid)}",
                str(path),
                "change its owner to you, or use a copy in a folder of yours",
            )
        if _open_to_others(step, found, ours):
            raise InputError(
                "file-open",
                f"gpurig does not use it, {because} can be changed by other users",
                str(path),
                f"check that its content is right, then run: chmod go-w {shlex.quote(str(step))}",
            )


def is_foreign(path: Path) -> bool:
    """Whether `refuse_foreign` refuses it."""
    try:
        refuse_foreign(path)
    except InputError:
        return True
    return False


def read(file: Path) -> str:
    """The text of a file; InputError if others can change it, or it cannot be read."""
    refuse_foreign(file)
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        raise InputError(
            "file-unreadable", f"cannot be read ({said})", str(file), "check its owner"
        ) from error


def folder(path: Path) -> Path:
    """
    The folder, made where it is missing: for the user alone, whatever the umask, with its parents.

    InputError if others can change it, GpurigError if it cannot be made.
    """
    with _told(path):
        _make(path)
    return path


def _make(path: Path) -> None:
    for each in reversed((path, *path.parents)):
        if each.exists():
            continue
        refuse_foreign(each)
        each.mkdir(mode=0o700, exist_ok=True)
        each.chmod(0o700)
    refuse_foreign(path)


@contextmanager
def written(file: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """
    A file that is there whole when the block ends, or not at all; its folder is made.

    + mode: of the file, whatever the umask

    Errors as of `folder`; what the block raises is its own. Where the file system can, nothing is
    left even by a process that is killed.
    """
    with _told(file):
        _make(file.parent)
        descriptor, name = _staged(file)
    out = open(descriptor, "wb")  # noqa: SIM115  # closed before it is renamed
    try:
        yield out
        with _told(file):
            os.fchmod(descriptor, mode)
            out.flush()
            if not name:
                name = _named(descriptor, file)
            out.close()
            os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            out.close()
        if name:
            Path(name).unlink(missing_ok=True)
        raise


def _staged(file: Path) -> tuple[int, str]:
    """An empty file for the content; without a name where the file system knows such files."""
    with suppress(OSError):
        return os.open(file.parent, os.O_TMPFILE | os.O_WRONLY, 0o600), ""
    return tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")


def _named(descriptor: int, file: Path) -> str:
    """Give an open file without a name one beside the file that it is to become."""
    name = str(file.with_name(f".{file.name[:100]}.{secrets.token_hex(8)}"))
    folder = os.open(file.parent, os.O_PATH)
    try:  # with a folder's descriptor Python lets the system follow the link
        beside = os.path.basename(name)
        os.link(f"/proc/self/fd/{descriptor}", beside, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    return name


def write(file: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Text or bytes, as `written` has it."""
    with written(file, mode) as out, _told(file):
        out.write(content.encode() if isinstance(content, str) else content)


def link(place: Path, target: str) -> None:
    """A link in a folder that is there: it leads to the target at once, never nowhere."""
    staged = place.with_name(f".{place.name}-{os.getpid()}")
    with _told(place):
        staged.symlink_to(target)
        staged.replace(place)


@contextmanager
def one_at_a_time(key: str) -> Iterator[None]:
    """
    Keep others out of the block: the hosts of this run, which are greenlets, and other runs.

    + key: what is worked at, as a file may be called

    GpurigError if another process has held it for too long.
    """
    until = time.monotonic() + _PATIENCE
    held = folder(cache() / "held")
    file = held / key
    with _told(file):
        held.chmod(0o700)  # whoever may open a file may hold its lock
        opened = file.open("w")
    with opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    what = f"another process has held this lock for more than {_PATIENCE} s"
                    raise GpurigError("lock-held", what, str(file), "end that process") from error
                time.sleep(0.1)  # waiting in flock itself would hold up every greenlet
        yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses, as one sentence about this path."""
    try:
        yield
    except OSError as error:
        moved = [variable for variable in _FOLDERS if path.is_relative_to(_folder_of(variable))]
        raise GpurigError(
            "file-unwritable",
            f"cannot be written ({error.strerror or error})",
            str(path),
            "check its owner" + (f", or set {moved[0]} to another folder" if moved else ""),
        ) from error


def hold(folder: Path) -> int:
    """Hold a folder for as long as this process lives, or until the descriptor is closed."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


def is_held(folder: Path) -> bool:
    """Whether a process that runs holds it."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held, or on a file system that does not tell
            return True
        finally:
            os.close(opened)
    return False


def search_path(given: str) -> str:
    """The folders of a PATH in which only the user and root can put a program; relative ones go."""
    folders = given.split(os.pathsep)
    return os.pathsep.join(f for f in folders if f.startswith("/") and not is_foreign(Path(f)))


def _users() -> set[int]:
    """Whose files are the user's own; under sudo, as git has it, also those of who called it."""
    ours = {0, os.geteuid()}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isascii() and caller.isdigit():
        ours.add(int(caller))
    return ours


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each folder, link and file on an absolute path, from the root on, as far as it is there."""
    here, links = Path("/"), 0
    yield here, here.lstat()
    left = list(reversed(path.parts[1:]))
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        step = here / part
        try:
            found = step.lstat()
        except OSError:
            return  # not there, or not to be reached: whoever opens it is told
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        if (links := links + 1) > _LINKS:
            return
        target = Path(os.readlink(step))
        here = Path("/") if target.is_absolute() else here
        left += reversed([part for part in target.parts if part != "/"])


def _open_to_others(step: Path, found: os.stat_result, ours: set[int]) -> bool:
    mode = found.st_mode
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return False
    if mode & stat.S_IWOTH:
        return True
    return bool(mode & stat.S_IWGRP) and (_has_acl(step) or not _private(found.st_gid, ours))


def _private(group: int, ours: set[int]) -> bool:
    """Whether nobody else is in a group: by its entry, or with it as the first group."""
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(group).gr_mem}
    except KeyError:
        return False  # a group or a member that nobody knows
    return members | {user.pw_uid for user in pwd.getpwall() if user.pw_gid == group} <= ours


def _has_acl(step: Path) -> bool:
    try:
        return _ACL in os.listxattr(step)
    except OSError:
        return False  # a file system without them


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
