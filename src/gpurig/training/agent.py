"""
What runs on a host while it trains: it starts commands as an unprivileged user in a private folder,
tells their lines, and ends all that they started: when they end, when it is told to, and when
nobody is there any more.

Stands alone and needs Python 3.9: gpurig gives its text to the host's Python, as root. Both sides
talk in JSON lines. Of its input, what does not begin with `MARK` only says that somebody is there.
"""

from __future__ import annotations

import base64
import codecs
import ctypes
import json
import locale
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

MARK = '{"gpurig"'
PATIENCE = 10  # seconds without a word from the control machine; it says one every second
GRACE = 3  # seconds between being asked to end and being killed
LAST = 20  # seconds after which a process that cannot even be killed is left to its fate
LONGEST = 1 << 18  # characters of a line; what is longer is told in parts
BAR = 10  # seconds after which it is told how far a progress bar is
NEW_MOUNTS, PRIVATE, BIND = 0x20000, 0x44000, 0x1000  # CLONE_NEWNS; MS_REC | MS_PRIVATE; MS_BIND
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: whoever is orphaned below becomes a child of this process


class Guard:
    """
    One host's share of a training.

    + job: ``user``, ``folder`` to be made, ``folders`` and ``files`` in it (text by name;
      executable in ``bin``), ``copies``: folders that begin with what ``work`` has,
      ``relay``: the name of a socket in it through which its programs reach other hosts, and
      ``hosts``: lines that they find in /etc/hosts instead of those of the same names

    Until `begin` the folder is root's alone: nobody can put a link in the way of what is written.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.user = pwd.getpwnam(job["user"])
        self.other: dict[str, Any] = {}
        if self.user.pw_uid != os.getuid():
            groups = os.getgrouplist(self.user.pw_name, self.user.pw_gid)
            self.other = {"user": self.user.pw_uid, "group": self.user.pw_gid}
            self.other["extra_groups"] = groups
        self.job, self.folder = job, job["folder"]
        self.sent: dict[str, list[int]] | None = None  # by name; None until programs can run
        self.dropped = False  # whether the results are safe elsewhere
        self.runs: dict[int, subprocess.Popen[bytes]] = {}
        self.asked_to_end: set[tuple[int, int]] = set()  # as `_left` has them
        self.sessions: dict[int, set[int]] = {}  # of each command, as far as they were seen
        self.ending = threading.Lock()
        self.asked: dict[int, socket.socket] = {}
        self.telling = threading.Lock()
        os.mkdir(self.folder, 0o700)
        for name in job.get("folders", ()):
            os.mkdir(os.path.join(self.folder, name))
        for name, text in job["files"].items():
            self.put(name, text.encode(), 0o755 if name.startswith("bin/") else 0o644)

    def put(self, name: str, data: bytes, mode: int) -> None:
        """A file, or its next piece; a name that ends with a slash is that of a folder."""
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} leads out of the folder")
        file = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        if name.endswith("/"):
            return
        with open(file, "ab") as to:
            to.write(data)
        os.chmod(file, mode)

    def begin(self) -> None:
        """All is there: give it to the user."""
        work, sent = os.path.join(self.folder, "work"), dict[str, list[int]]()
        for copy in self.job.get("copies", ()):
            shutil.copytree(work, os.path.join(self.folder, copy))
        if os.path.isdir(work):
            sent = dict(_stamps(work))
            self.put("sent.json", json.dumps(sent).encode(), 0o644)
        if self.job["hosts"]:
            with open("/etc/hosts", encoding="utf-8", errors="replace") as there:
                self.put("hosts", _instead(self.job["hosts"], there.read()).encode(), 0o644)
        relay = self._relay(self.job["relay"]) if self.job["relay"] else None
        for folder, names, files in os.walk(self.folder, topdown=False):
            for name in (*names, *files):
                os.lchown(os.path.join(folder, name), self.user.pw_uid, self.user.pw_gid)
        os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        if self.job["hosts"]:
            _show(os.path.join(self.folder, "hosts"), "/etc/hosts")
        if relay:
            _thread(self._accept, relay)
        self.sent = sent

    def tell(self, **what: Any) -> None:
        """One JSON line to the control machine, if it is still there."""
        with suppress(OSError), self.telling:
            sys.stdout.write(json.dumps(what) + "\n")
            sys.stdout.flush()

    def run(
        self, number: int, words: list[str], environment: dict[str, str], folder: str = ""
    ) -> None:
        """Start a command in a folder; its lines and its end are told under its number."""
        try:
            child = subprocess.Popen(
                words, cwd=os.path.join(self.folder, folder), env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                start_new_session=True, umask=0o077, **self.other,
            )  # fmt: skip
        except OSError as error:
            self.tell(run=number, err=f"{words[0]}: {error.strerror}")
            self.tell(run=number, exit=127)
            return
        self.runs[number] = child
        readers = [
            _thread(self._read, number, name, stream)
            for name, stream in (("out", child.stdout), ("err", child.stderr))
        ]
        _thread(self._wait, number, child, readers)

    def answer(self, number: int, code: int) -> None:
        """Tell the program that asked for a command on another host how that ended."""
        asking = self.asked.pop(number, None)
        if asking is not None:
            with suppress(OSError):
                asking.sendall(b"%d\n" % code)
            asking.close()

    def end(self, number: int | None = None) -> None:
        """
        End one command, or whatever was started, and wait until nothing of it is left.

        Each process is asked once, also where several threads end it: it may be saving a checkpoint
        as its answer, and would begin that again. torchrun's workers are in sessions of their own,
        and torchrun asks them.
        """
        began = time.monotonic()
        while (left := self._left(number)) and (passed := time.monotonic() - began) < LAST:
            with self.ending:
                own = {one for one, session in left.items() if self._asks(number, session)}
                for pid, _ in left if passed > GRACE else own - self.asked_to_end:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL if passed > GRACE else signal.SIGTERM)
                self.asked_to_end |= own
            time.sleep(0.2)

    def _asks(self, number: int | None, session: int) -> bool:
        return number is None or session == self.runs[number].pid

    def remove(self) -> None:
        """The folder goes; where its results are not safe elsewhere, they alone stay."""
        kept = not self.dropped and self._has_results()
        with suppress(OSError):
            for entry in list(os.scandir(self.folder)):
                if entry.is_dir(follow_symlinks=False) and not (kept and entry.name == "work"):
                    shutil.rmtree(entry.path, ignore_errors=True)
                elif not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
            os.rmdir(self.folder)

    def _has_results(self) -> bool:
        """Whether programs wrote something; what Python makes again is nothing."""
        if (sent := self.sent) is None:
            return False
        with suppress(OSError):
            now = _stamps(os.path.join(self.folder, "work"))
            return any(sent.get(name) != stamp for name, stamp in now if "__pycache__" not in name)
        return True

    def _left(self, number: int | None) -> dict[tuple[int, int], int]:
        """
        The processes that descend from one command or from this one, and their sessions.

        Each with its start (proc(5): starttime), since another one may have its pid later. What has
        outlived the rest of its command is known by its session.
        """
        parents, sessions, starts = {}, {}, {}
        for name in os.listdir("/proc"):
            with suppress(OSError, ValueError):
                with open(f"/proc/{int(name)}/stat", encoding="utf-8", errors="replace") as stat:
                    state, parent, _, session, *more = stat.read().rpartition(")")[2].split()
                if state not in "ZX":
                    parents[int(name)], sessions[int(name)] = int(parent), int(session)
                    starts[int(name)] = int(more[15])
        found = _below({os.getpid()}, parents)
        if number is not None:
            child = self.runs[number].pid
            known = self.sessions.setdefault(number, {child})
            known |= {sessions[pid] for pid in _below({child}, parents)} - {os.getsid(0)}
            found = {pid for pid in found if sessions[pid] in known}
        return {(pid, starts[pid]): sessions[pid] for pid in found}

    def _read(self, number: int, name: str, stream: Any) -> None:
        decode = codecs.getincrementaldecoder(locale.getpreferredencoding(False))("replace").decode
        lines, got = Lines(lambda line: self.tell(run=number, **{name: line})), b"\n"
        while got:
            if select.select([stream], [], [], BAR)[0]:
                got = stream.read(1 << 16)
                lines.take(decode(got, not got))
            lines.look(ends=not got)

    def _wait(
        self, number: int, child: subprocess.Popen[bytes], readers: list[threading.Thread]
    ) -> None:
        code = child.wait()
        self.end(number)
        for reader in readers:
            reader.join(GRACE)  # a process in another session may hold the pipe open
        self.tell(run=number, exit=code)

    def _relay(self, name: str) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.join(self.folder, name))
        listening.listen()
        return listening

    def _accept(self, listening: socket.socket) -> None:
        number = 0
        while True:
            asking, _ = listening.accept()
            number += 1
            self.asked[number] = asking
            _thread(self._ask, number, asking)

    def _ask(self, number: int, asking: socket.socket) -> None:
        with suppress(OSError):
            told = asking.makefile("r")
            asked = json.loads(told.readline() or "null")
            if asked:
                self.tell(ask=number, host=asked["host"], command=asked["command"])
            told.readline()  # comes when whoever asked has ended
        if self.asked.pop(number, None) is not None:
            self.tell(dropped=number)

    def reap(self) -> None:
        """Let go of what was orphaned and has ended."""
        ours = {child.pid for child in self.runs.values()}
        with suppress(OSError):
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
                pids = {int(pid) for pid in children.read().split()}
            for pid in pids - ours:
                os.waitpid(pid, os.WNOHANG)


class Lines:
    """
    What a program prints, told line by line as a terminal shows each line when it ends.

    So a progress bar is one line: it draws itself again after each ``\\r``. While it goes on, it
    is told every `BAR` seconds, which also shows that the program does something.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell, self.at = tell, time.monotonic()
        self.line = ""  # what has no end yet; of a bar a mark, and what was drawn last
        self.told: str | None = None  # what was told of this line before its end

    def take(self, text: str) -> None:
        """The next piece of what is printed, cut anywhere."""
        *ended, self.line = (self.line + text).split("\n")
        for line in ended:
            self._end(line)
        if "\r" in self.line:
            back = "\r" if self.line.endswith("\r") else ""
            self.line = "\r" + _shown(self.line) + back
        while len(self.line) > LONGEST:
            self._end(self.line[:LONGEST])
            self.line = self.line[LONGEST:]

    def look(self, ends: bool) -> None:
        """Tell what has no end yet, where nothing more comes, or where it is a bar's turn."""
        if ends and self.line:
            self._end(self.line)
        elif "\r" in self.line and time.monotonic() - self.at >= BAR and _shown(self.line):
            self._show(_shown(self.line))

    def _end(self, line: str) -> None:
        self._show(_shown(line))
        self.told = None

    def _show(self, text: str) -> None:
        if text == self.told:
            return
        for start in range(0, max(1, len(text)), LONGEST):
            self.tell(text[start : start + LONGEST])
        self.told, self.at = text, time.monotonic()


def _below(front: set[int], parents: dict[int, int]) -> set[int]:
    """All that descend from these processes."""
    found: set[int] = set()
    while front:
        front = {pid for pid, parent in parents.items() if parent in front} - found
        found |= front
    return found


def _shown(line: str) -> str:
    """What a terminal shows of a line: of what is drawn over and over, the last."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def _stamps(folder: str) -> Iterator[tuple[str, list[int]]]:
    """Size and time of each file, by which one that a program wrote is known."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(place, name)
            found = os.lstat(file)
            yield os.path.relpath(file, folder), [found.st_size, found.st_mtime_ns]


def _instead(lines: str, there: str) -> str:
    """A hosts file with these lines, and without others of the same names."""
    names = {name for line in lines.splitlines() for name in line.split()[1:]}
    kept = [line for line in there.splitlines() if not names & set(line.split()[1:])]
    return lines + "".join(f"{line}\n" for line in kept)


def _show(file: str, place: str) -> None:
    """Show a file at another place, to this process and those that it starts, and nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.unshare(NEW_MOUNTS)
        or libc.mount(b"none", b"/", None, PRIVATE, None)
        or libc.mount(file.encode(), place.encode(), None, BIND, None)
    ):
        raise OSError(ctypes.get_errno(), f"{place} cannot get its own content for the training")


def _thread(function: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def _beat(guard: Guard) -> None:
    while True:
        guard.tell(alive=True)
        time.sleep(1)


def obey(guard: Guard, told: dict[str, Any]) -> None:
    """Do what one line says."""
    if told["gpurig"] == "put":
        guard.put(told["file"], base64.b64decode(told["data"]), told["mode"])
    elif told["gpurig"] == "begin":
        guard.begin()
        guard.tell(begun=True)
    elif told["gpurig"] == "drop":
        guard.dropped = True
    elif told["gpurig"] == "run":
        folder = told.get("folder", "")
        guard.run(told["run"], told["words"], told["environment"], folder)
    elif told["gpurig"] == "answer":
        guard.answer(told["ask"], told["code"])
    elif told["gpurig"] == "end" and told["run"] in guard.runs:
        _thread(guard.end, told["run"])


def listen() -> None:
    """Until the input ends, or nothing is heard for too long."""
    guard: Guard | None = None
    buffer, heard = b"", time.monotonic()
    try:
        while time.monotonic() - heard < PATIENCE:
            if guard:
                guard.reap()
            if not select.select([0], [], [], 0.5)[0]:
                continue
            got = os.read(0, 1 << 16)
            if not got:
                break
            heard = time.monotonic()
            *lines, buffer = (buffer + got).split(b"\n")
            for line in lines:
                if not line.startswith(MARK.encode()):
                    continue
                told = json.loads(line)
                if guard is None:
                    guard = Guard(told)
                    _thread(_beat, guard)
                else:
                    obey(guard, told)
    finally:
        if guard:
            guard.end()
            guard.remove()
            _thread(lambda: guard.tell(ended=True)).join(1)


def main() -> None:
    """Guard until the end; a Ctrl-C at a terminal is the control machine's to hear."""
    for number in (signal.SIGINT, signal.SIGHUP):  # not SIG_IGN, which commands would inherit
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with suppress(SystemExit):
        listen()
    os._exit(0)  # threads may wait for a control machine that is not there


if __name__ == "__main__":
    main()
