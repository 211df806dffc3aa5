"""How ssh would reach a host: its own answer (``ssh -G``), as only ssh knows all its options."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyinfra.connectors.sshuserclient import client as pyinfra_client

_MANY = ("identityfile", "certificatefile")
_KEYS = re.compile(r"~/\.ssh/id_\w+")  # that ssh tries where its files name none
_LINE = re.compile(r"line \d+")
_READ = re.compile(r"^debug1: Reading configuration data (.+?)\r?$", re.M)
_BESIDE = re.compile(r"debug\d:|OpenSSH_|Pseudo-terminal ")  # what ``ssh -v`` says of its way

# What pyinfra's reader, which stands in where ssh is not installed, knows less of than ssh.
_BEYOND = re.compile(r"\s*(match|canonicali[sz]ehostname\s|tag\s|proxyjump\s+none)", re.I)


class UnusableConfig(Exception):
    """ssh_config does not say how a host is reached: `what` is wrong where, and what to `do`."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(what)
        self.what, self.do = what, do


@dataclass(frozen=True)
class Jump:
    """A host on the way, as ProxyJump names it; user and port are empty and 0 where it has none."""

    host: str
    user: str = ""
    port: int = 0


@dataclass(frozen=True)
class Options:
    """
    What ssh_config says of one host, by lower-case names, tokens of file names not yet filled.

    + name: as it was asked for
    + keys: files of private keys, None where that is not known; certificates: files of theirs
    + files: those of ssh_config that were read
    """

    name: str
    values: Mapping[str, str]
    keys: tuple[str, ...] | None = None
    certificates: tuple[str, ...] = ()
    jumps: tuple[Jump, ...] = ()
    files: tuple[str, ...] = ()

    def get(self, key: str, default: str = "") -> str:
        """An option's value; ``none`` is as good as nothing."""
        value = self.values.get(key, default)
        return "" if value.lower() == "none" else value

    @property
    def host(self) -> str:
        return self.get("hostname") or self.name

    @property
    def port(self) -> int:
        return int(self.get("port") or 22)

    @property
    def user(self) -> str:
        return self.get("user") or getpass.getuser()

    def filled(self, text: str) -> str:
        """Text with its tokens (TOKENS of ssh_config(5)) in place, and a home folder for ``~``."""
        tokens = {
            "%": "%", "d": str(Path.home()), "h": self.host, "i": str(os.getuid()), "n": self.name,
            "k": self.get("hostkeyalias") or self.host, "L": os.uname().nodename.split(".")[0],
            "l": os.uname().nodename, "p": str(self.port), "r": self.user, "u": getpass.getuser(),
            "C": self.values.get("controlpath", ""), "j": self.get("proxyjump"),
        }  # fmt: skip
        text = re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)
        return os.path.expanduser(text)

    def path(self, text: str) -> str:
        """A file's name with its tokens, ``~``, and variables such as ``${HOME}`` in place."""

        def value(found: re.Match[str]) -> str:
            if found[1] not in os.environ:
                what = f"ssh_config names {text}, and {found[1]} is not set"
                raise UnusableConfig(what, f"set {found[1]}, or correct that line")
            return os.environ[found[1]]

        return self.filled(re.sub(r"\$\{(\w+)\}", value, text))

    def paths(self, key: str, default: Sequence[str] = ()) -> list[str]:
        """The files that an option names; ``ssh -G`` puts blanks between them and no quotes."""
        text = self.values.get(key)
        words = list(default) if text is None else text.split()
        if text is not None and not all(os.path.exists(self.path(word)) for word in words):
            for _, _, named in lines_of(key, self.files):
                if text in (" ".join(named), " ".join(map(self.path, named))):
                    words = named
                    break
        return [self.path(word) for word in words if word.lower() != "none"]

    @property
    def agent(self) -> str:
        """The socket of the agent that is asked; empty for none."""
        said = self.values.get("identityagent", "SSH_AUTH_SOCK")
        if said == "none":
            return ""
        if said == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", said):
            return os.environ.get(said.removeprefix("$"), "")
        return self.path(said)

    def place(self, key: str) -> str:
        """
        Where an option stands and how it is written there, ``FILE line N: ProxyCommand``.

        Only its name where several lines have it, and what ssh took is none or more than one.
        """
        lines = list(lines_of(key, self.files))
        taken = [one for one in lines if one[2] == _words(self.values.get(key, ""))]
        found = taken or lines
        return f"{found[0][0]}: {found[0][1]}" if len(found) == 1 else key

    def unsupported(self, key: str, do: str) -> UnusableConfig:
        """The error for an option that gpurig cannot follow."""
        return UnusableConfig(f"{self.place(key)} is not supported", do)

    def ended(self, key: str, code: int, said: str) -> UnusableConfig:
        """The error for a program that an option names and that failed; said: its own words."""
        do = "correct that line" if code in (126, 127) else "check that command, and the host"
        why = f": {said}" if said else ""
        return UnusableConfig(f"{self.place(key)} ends with exit status {code}{why}", do)


def lines_of(key: str, files: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    """The lines of an option: ``FILE line N``, its name as it is written there, its words."""
    for file in files:
        try:
            text = Path(file).read_text(errors="surrogateescape")
        except OSError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            name = re.match(r"\s*([A-Za-z0-9]+)\s*[\s=]\s*", line)
            if name and name[1].lower() == key:
                yield f"{file} line {number}", name[1], _words(line[name.end() :])


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # ssh reads it otherwise
        return text.split()


def ask(name: str, user: str = "", port: int = 0, file: str = "", seconds: int = 30) -> Options:
    """
    What ssh would do to reach a host.

    + user, port: where they are given and not ssh_config's to say; file: instead of the user's
    + seconds: how long a ``Match exec`` may take

    UnusableConfig where ssh says that a file is wrong.
    """
    if shutil.which("ssh") is None:
        return _read_without_ssh(name, file)
    # With -v it tells its files; a path of %C, which later releases compute otherwise, its hash.
    command = ["ssh", "-v", "-G", "-o", "ControlPath=%C", *_file(file)]
    command += ["-l", user] * bool(user) + ["-p", str(port)] * bool(port)
    # In a session of its own, so that what Match exec runs ends with it.
    process = subprocess.Popen(
        [*command, "--", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="surrogateescape", start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            answer, errors = process.communicate(timeout=seconds)
        except BaseException as error:  # this run's end as well
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            what = f"ssh -G {name} does not end within {seconds} s"
            raise UnusableConfig(what, "check what ssh_config runs with Match exec") from error
    if process.returncode:
        raise _refused(errors)
    return _options(name, answer, tuple(_READ.findall(errors)))


def _refused(errors: str) -> UnusableConfig:
    told = (line.strip() for line in errors.splitlines())
    said = [line for line in told if line and not _BESIDE.match(line)] or ["ssh gives no reason"]
    what = next((line for line in said if _LINE.search(line)), said[-1])
    do = "correct that line" if _LINE.search(what) else "correct it"
    if loop := re.search(r"jumphost loop via (\S+)", what):
        do = _alone(loop[1])
    return UnusableConfig(f"ssh refuses its configuration ({what})", do)


def _alone(host: str) -> str:
    return f"give {host} a `ProxyJump none` of its own, in front of the line that is for all"


def in_a_circle(way: Sequence[Jump]) -> UnusableConfig:
    """The error for hosts that lead to one another."""
    circle = " -> ".join(one.host for one in way)
    return UnusableConfig(f"ProxyJump leads in a circle ({circle})", _alone(way[-1].host))


def _file(given: str) -> list[str]:
    """Which file ssh is told to read; by itself it reads the account's, whatever HOME is."""
    if given:
        return ["-F", os.path.expanduser(given)]
    if Path.home() == Path(_home()):
        return []
    own = Path.home() / ".ssh/config"
    return ["-F", str(own) if own.exists() else "none"]


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return str(Path.home())


def _options(name: str, text: str, files: tuple[str, ...]) -> Options:
    values: dict[str, str] = {}
    many: dict[str, list[str]] = {key: [] for key in _MANY}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key in many:
            many[key].append(value)
        else:
            values.setdefault(key, value)
    folder = f"{_home()}/.ssh/known_hosts"
    if values.get("userknownhostsfile") == f"{folder} {folder}2":
        del values["userknownhostsfile"]  # ssh's own default, for which HOME does not count
    keys, certificates = (tuple(one for one in many[key] if one.lower() != "none") for key in _MANY)
    jumps = _jumps(values.get("proxyjump", ""))
    return Options(name, values, keys, certificates, jumps, files)


def is_default(key: str) -> bool:
    """Whether ssh tries this private key although no file of its names it."""
    return _KEYS.fullmatch(key) is not None


def _jumps(text: str) -> tuple[Jump, ...]:
    hops = []
    for word in text.split(",") if text and text.lower() != "none" else []:
        user, _, place = word.strip().removeprefix("ssh://").rpartition("@")
        found = re.fullmatch(r"\[?(.+?)\]?(?::(\d+))?", place if place.count(":") < 2 else "")
        if place.startswith("["):
            found = re.fullmatch(r"\[(.+)\](?::(\d+))?", place)
        host, port = (found[1], int(found[2] or 0)) if found else (place, 0)
        hops.append(Jump(host, user, port))
    return tuple(hops)


def _read_without_ssh(name: str, file: str) -> Options:
    path = Path(file or "~/.ssh/config").expanduser()
    try:
        text = path.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return Options(name, {})
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        raise UnusableConfig(what, "correct its owner and mode") from error
    for number, line in enumerate(text.splitlines(), 1):
        if _BEYOND.match(line):
            what = f"{path}, line {number}: without ssh gpurig does not know what {line.split()[0]}"
            raise UnusableConfig(f"{what} comes to", "install ssh (openssh-client) on this machine")
    try:
        config = pyinfra_client.get_ssh_config(str(path))
        found = dict(config.lookup(name)) if config else {}
    except Exception as error:  # paramiko's reader raises what it likes at a file
        what = f"{path} cannot be read without ssh ({error})"
        raise UnusableConfig(what, "install ssh (openssh-client) on this machine") from error
    values = {key: value for key, value in found.items() if isinstance(value, str)}
    keys, certificates = (tuple(found.get(key, ())) for key in _MANY)
    jumps = _jumps(values.get("proxyjump", ""))
    return Options(name, values, keys or None, certificates, jumps, (str(path),))
