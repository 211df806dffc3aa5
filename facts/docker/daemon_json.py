"""Docker's daemon.json, the flags of its unit, and what the daemon is known to have read."""

from __future__ import annotations

import re
import shlex
from typing import Any, TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.docker.daemon_text import understood

DAEMON_JSON = "/etc/docker/daemon.json"
RECORD = "/run/gpurig/docker-config"


class DaemonFile(TypedDict):
    """
    One daemon.json.

    + path: the file itself, links followed
    + config: what it holds, in its order
    + indent: one step of its indentation, as text
    + changed: when the file was last changed in any way, in seconds since 1970 (ctime); at the
      latest, where that is known by whole seconds only
    + lossy: what of it would be lost if it were written back, a sentence; empty for nothing
    """

    path: str
    config: dict[str, Any]
    indent: str
    changed: float
    lossy: str


# Shell: `text FILE` prints a daemon.json in UTF-8. dockerd takes UTF-16 and byte order marks
# from 23.0 on, where it has --validate. No single quote stands in it: it is quoted by them.
TEXT = (
    'text() { mark=$(head -c 3 -- "$1" | od -An -tx1 | tr -d " ");'
    " case $mark in efbbbf|fffe*|feff*)"
    " case $(dockerd --help 2>/dev/null) in *--validate*) ;; *) exit 6 ;; esac ;; esac;"
    ' case $mark in fffe*|feff*) iconv -f UTF-16 -t UTF-8 < "$1" ;; *) cat -- "$1" ;; esac; };'
)

# Shell: the file that dockerd is started with, in $n: a unit's last ExecStart counts, with what its
# variables hold.
_NAMED = r"""
started=$(systemctl cat docker.service 2>/dev/null | sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' |
    sed -n 's/^ExecStart=//p' | tail -n 1)
case $started in *'$'*) started="$started $(systemctl show --property=Environment --value \
    docker.service) $(systemctl show --property=EnvironmentFiles --value docker.service |
    sed 's/ (.*//' | while read -r f; do [ ! -f "$f" ] ||
    sed -n 's/^[[:space:]]*[A-Za-z0-9_]*=//p' "$f"; done)" ;; esac
other=$(printf '%s\n' "$started" |
    sed -nE 's/.*--config-file[= ]+["\x27]?([^[:space:]"\x27;]+).*/\1/p' | tail -n 1)
"""


class DaemonConfig(Fact[DaemonFile]):
    """
    Docker's daemon.json as it is; for operations only, as a proxy in it may carry a password.

    + path: the file to read

    ABSENT when there is no file; Unknown when dockerd could not read it (with line and column).
    What dockerd reads in place of the usual file, by ``--config-file``, is read here as well.
    """

    def command(self, path: str = DAEMON_JSON) -> StringCommand:
        named = _NAMED if path == DAEMON_JSON else "\nother=\n"
        return framed(
            StringCommand(
                f"{TEXT}{named}n=", QuoteString(path), '; n=${other:-$n};',
                '[ -e "$n" ] || { [ -L "$n" ] && exit 4;',
                '[ -z "$other" ] || { echo "$n"; exit 7; }; exit 3; };',
                'f=$(readlink -f -- "$n"); [ -f "$f" ] || exit 5;',
                'echo "$f"; stat -c %.6Z -- "$f" && text "$f"',
                _separator="",
            )
        )  # fmt: skip

    def parse(self, lines: list[str], code: int) -> DaemonFile | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code == 7:
            return Unknown(f"docker.service starts dockerd with {lines[-1]}, which does not exist")
        if code:
            return Unknown(_UNREAD.get(code, "it cannot be read"))
        path, changed, text = lines[0], _seconds(lines[1], late=1), "\n".join(lines[2:])
        read = understood(text)
        if isinstance(read, Unknown):
            return read
        config, lossy = read
        step = re.search(r'^([ \t]+)"', text, re.MULTILINE)
        return DaemonFile(
            path=path,
            config=config,
            indent=step[1] if step else "    ",
            changed=changed,
            lossy=lossy,
        )


_UNREAD = {
    4: "it is a broken link",
    5: "it is not a file",
    6: "it begins with a byte order mark, which this dockerd does not read",
}


class DaemonConfigShown(DaemonConfig):
    """The same for people and reports: passwords in proxy and mirror URLs are left out."""

    def parse(self, lines: list[str], code: int) -> DaemonFile | Absent | Unknown:
        return super().parse([re.sub(r"://[^/\s\"@]*@", "://", line) for line in lines], code)


def _seconds(text: str, *, late: float = 0) -> float:
    """
    A time; Rust's coreutils tell whole seconds.

    + late: what such a time may be later than it says
    """
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError(f"no time: {text}")
    return float(text) + (0 if "." in text else late)


class DaemonFlags(Fact[dict[str, str]]):
    """
    The keys that dockerd is given as flags of its unit, with the place where each stands.

    ``{"hosts": "/usr/lib/systemd/system/docker.service"}``; dockerd refuses to start when one
    of them is in daemon.json as well. ABSENT without docker.service.
    """

    def command(self) -> StringCommand:
        return framed(
            "[ -d /run/systemd/system ] || exit 3; may systemctl cat docker.service || exit 3;"
            " must systemctl show docker.service --value --property=EnvironmentFiles |"
            " sed 's/ (.*//' | while read -r f; do"
            ' [ ! -f "$f" ] || { echo "# variables $f"; cat "$f"; }; done'
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code:
            return ABSENT
        start, where, options = _unit("\n".join(lines).replace("\\\n", " ").split("\n"))
        flags: dict[str, str] = {}
        for word in shlex.split(start):
            if word.startswith("$"):
                text, file = options.get(word.strip("${}"), ("", ""))
                flags |= dict.fromkeys(_keys(shlex.split(text)), file)
            else:
                flags |= dict.fromkeys(_keys([word]), where)
        return flags


def _unit(lines: list[str]) -> tuple[str, str, dict[str, tuple[str, str]]]:
    """The command of a unit, the file it stands in, and by name the variables with theirs."""
    place, start, where, variables = "", "", "", False
    options: dict[str, tuple[str, str]] = {}
    for line in lines:
        name, _, value = line.strip().partition("=")
        if line.startswith(("# /", "# variables /")):
            variables = line.startswith("# variables ")
            place = line.removeprefix("# ").removeprefix("variables ").strip()
        elif variables and name.isidentifier():
            options[name] = (value.strip("\"'"), place)
        elif name == "ExecStart" and value:  # an empty one only takes the earlier ones back
            start, where = value, place
        elif name == "Environment":
            words = (word.partition("=") for word in shlex.split(value))
            options |= {word: (text, place) for word, _, text in words}
    return start, where, options


# Flags that are called otherwise than their key in daemon.json (dockerd's command reference).
_PLURAL = {
    "add-runtime": "runtimes",
    "feature": "features",
    "host": "hosts",
    "label": "labels",
    "log-opt": "log-opts",
    "storage-opt": "storage-opts",
    "exec-opt": "exec-opts",
    "dns-opt": "dns-opts",
    "registry-mirror": "registry-mirrors",
    "insecure-registry": "insecure-registries",
    "default-ulimit": "default-ulimits",
    "default-address-pool": "default-address-pools",
    "authorization-plugin": "authorization-plugins",
    "allow-nondistributable-artifact": "allow-nondistributable-artifacts",
    "cdi-spec-dir": "cdi-spec-dirs",
    "default-network-opt": "default-network-opts",
    "node-generic-resource": "node-generic-resources",
    "H": "hosts",
    "D": "debug",
    "l": "log-level",
    "s": "storage-driver",
    "b": "bridge",
    "G": "group",
    "g": "data-root",
    "graph": "data-root",
}


def _keys(words: list[str]) -> list[str]:
    flags = [re.match(r"--([a-z0-9-]+)|-([A-Za-z])", word) for word in words]
    names = [flag[1] or flag[2] for flag in flags if flag]
    return [_PLURAL.get(name, name) for name in names]


class Read(TypedDict):
    """
    What is known about when dockerd last read its configuration.

    + started: when the daemon started, in seconds; 0 when it does not run
    + file: the daemon.json that it was started with, links followed; empty when it does not run
    + confirmed: key → hash of the value in effect, recorded after a confirmed reload or restart
      of this very daemon; ``None`` where nothing was recorded
    """

    started: float
    file: str
    confirmed: dict[str, str] | None


class ConfigRead(Fact[Read]):
    """
    Which configuration the running daemon was last seen to take.

    The record names the daemon's InvocationID and the host's boot id, so that it counts for no
    other daemon. ABSENT where docker.service is unknown.
    """

    def command(self) -> StringCommand:
        return framed(
            "[ -d /run/systemd/system ] || exit 3;"
            " s=$(LC_ALL=C must systemctl show docker.service --value --timestamp=us+utc"
            " --property=ExecMainStartTimestamp);"
            ' echo "started $(date -u -d "${s:-@0}" +%s.%6N)";'
            " p=$(must systemctl show docker.service --value --property=MainPID); n=;"
            ' if [ -r "/proc/${p:-0}/cmdline" ]; then'
            " n=$(tr '\\0' '\\n' < \"/proc/$p/cmdline\" |"
            " sed -n 's/^--config-file=//p; /^--config-file$/{n;p}' | tail -n 1);"
            f' n=${{n:-{DAEMON_JSON}}}; [ ! -e "$n" ] || n=$(readlink -f -- "$n"); fi;'
            ' echo "file $n";'
            f' echo "this {THIS_DAEMON}"; [ ! -e {RECORD} ] || cat {RECORD}'
        )

    def parse(self, lines: list[str], code: int) -> Read | Absent | Unknown:
        if code:
            return ABSENT
        started = _seconds(lines[0].removeprefix("started "))
        file, daemon = lines[1].removeprefix("file").strip(), lines[2].removeprefix("this ")
        if len(lines) < 4 or lines[3] != daemon:
            return Read(started=started, file=file, confirmed=None)
        hashes = (line.partition(" ") for line in lines[4:])
        confirmed = {key: value for value, _, key in hashes}
        return Read(started=started, file=file, confirmed=confirmed)


# A shell text that names the daemon that runs now and no other one.
THIS_DAEMON = (
    "$(cat /proc/sys/kernel/random/boot_id)"
    " $(systemctl show docker.service --value --property=InvocationID)"
)
