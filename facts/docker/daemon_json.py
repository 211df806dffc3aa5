"""Docker's daemon.json, the flags of its unit, and what the daemon is known to have read."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Fact, framed
from gpurig.contract.values import ABSENT, Absent, Unknown

DAEMON_JSON = "/etc/docker/daemon.json"
RECORD = "/run/gpurig/docker-config"


class DaemonFile(TypedDict):
    """
    One daemon.json.

    + path: the file itself, links followed
    + config: what it holds, in its order
    + indent: one step of its indentation, as text
    + changed: when the file was last changed in any way, in seconds since 1970 (ctime)
    """

    path: str
    config: dict[str, Any]
    indent: str
    changed: float


class DaemonConfig(Fact[DaemonFile]):
    """
    Docker's daemon.json as it is; for operations only, as a proxy in it may carry a password.

    + path: the file to read

    ABSENT when there is no file; Unknown when dockerd could not read it or when it could not be
    written back as it was (with line and column).
    """

    def command(self, path: str = DAEMON_JSON) -> StringCommand:
        file = QuoteString(path)
        return framed(
            StringCommand(
                "f=$(readlink -f --", file, ');',
                'if [ ! -e "$f" ]; then [ -L', file, "] && exit 4; exit 3; fi;",
                '[ -f "$f" ] || exit 5;',
                'echo "$f"; stat -c %.6Z -- "$f" && cat -- "$f"',
            )
        )  # fmt: skip

    def parse(self, lines: list[str], code: int) -> DaemonFile | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(_UNREAD.get(code, "it cannot be read"))
        path, changed, text = lines[0], _seconds(lines[1]), "\n".join(lines[2:])
        config = _read(text)
        if isinstance(config, Unknown):
            return config
        step = re.search(r'^([ \t]+)"', text, re.MULTILINE)
        return DaemonFile(
            path=path, config=config, indent=step[1] if step else "    ", changed=changed
        )


_UNREAD = {4: "it is a broken link", 5: "it is not a file"}


def _read(text: str) -> dict[str, Any] | Unknown:
    """What a daemon.json says, where dockerd would read it and it can be written back as it was."""
    if "\ufffd" in text:  # what stands for bytes that are not UTF-8; they would be lost
        return Unknown("it is not UTF-8")
    try:
        config = json.loads(
            text if text.strip() else "{}", object_pairs_hook=_once, parse_constant=_not_json
        )
    except json.JSONDecodeError as error:
        return Unknown(
            f"it is not valid JSON: {error.msg}, line {error.lineno} column {error.colno}"
        )
    except ValueError as error:
        return Unknown(str(error))
    except RecursionError:
        return Unknown("its JSON is nested too deeply")
    if not isinstance(config, dict):
        return Unknown("it is not a JSON object")
    wrong = _misshapen(config)
    return Unknown(wrong) if wrong else config


def _misshapen(config: dict[str, Any]) -> str:
    """What of an object cannot be a daemon.json's, in a sentence; else empty."""
    try:
        json.dumps(config, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "it has half a surrogate pair in a string"
    for key in ("runtimes", "features"):
        if not isinstance(config.get(key, {}), dict):
            return f"its {key} is not an object"
    for name, runtime in config.get("runtimes", {}).items():
        if not isinstance(runtime, dict):
            return f"its runtime {name} is not an object"
    return ""


class DaemonConfigShown(DaemonConfig):
    """The same for people and reports: passwords in proxy and mirror URLs are left out."""

    def parse(self, lines: list[str], code: int) -> DaemonFile | Absent | Unknown:
        return super().parse([re.sub(r"://[^/\s\"@]*@", "://", line) for line in lines], code)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,12}\.\d{6}", text, re.ASCII):
        raise ValueError(f"no time: {text}")
    return float(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"it has {twice!r} twice in one object")
    return dict(pairs)


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is not valid JSON")


class DaemonFlags(Fact[dict[str, str]]):
    """
    The keys that dockerd is given as flags of its unit, with the place where each stands.

    ``{"hosts": "/usr/lib/systemd/system/docker.service"}``; dockerd refuses to start when one
    of them is in daemon.json as well. ABSENT without docker.service.
    """

    def command(self) -> StringCommand:
        return framed(
            "systemctl cat docker.service 2>/dev/null || exit 3;"
            ' f=/etc/default/docker; [ ! -f "$f" ] || { echo "# $f"; cat "$f"; }'
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
    place, start, where = "", "", ""
    options: dict[str, tuple[str, str]] = {}
    for line in lines:
        name, _, value = line.strip().partition("=")
        if line.startswith("# /"):
            place = line.removeprefix("# ").strip()
        elif name == "ExecStart" and value:  # an empty one only takes the earlier ones back
            start, where = value, place
        elif name == "Environment":
            words = (word.partition("=") for word in shlex.split(value))
            options |= {word: (text, place) for word, _, text in words}
        elif name.isidentifier() and place.startswith("/etc/default/"):
            options[name] = (value.strip("\"'"), place)
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
    + confirmed: key → hash of the value in effect, recorded after a confirmed reload or restart
      of this very daemon; ``None`` where nothing was recorded
    """

    started: float
    confirmed: dict[str, str] | None


class ConfigRead(Fact[Read]):
    """
    Which configuration the running daemon was last seen to take.

    The record names the daemon's InvocationID and the host's boot id, so that it counts for no
    other daemon. ABSENT where docker.service is unknown.
    """

    def command(self) -> StringCommand:
        return framed(
            "s=$(LC_ALL=C systemctl show docker.service --value --timestamp=us+utc"
            " --property=ExecMainStartTimestamp 2>/dev/null) || exit 3;"
            ' echo "started $(date -u -d "${s:-@0}" +%s.%6N)";'
            f' echo "this {THIS_DAEMON}"; cat {RECORD} 2>/dev/null; :'
        )

    def parse(self, lines: list[str], code: int) -> Read | Absent | Unknown:
        if code:
            return ABSENT
        started = _seconds(lines[0].removeprefix("started "))
        daemon = lines[1].removeprefix("this ")
        if len(lines) < 3 or lines[2] != daemon:
            return Read(started=started, confirmed=None)
        hashes = (line.partition(" ") for line in lines[3:])
        return Read(started=started, confirmed={key: value for value, _, key in hashes})


# A shell text that names the daemon that runs now and no other one.
THIS_DAEMON = (
    "$(cat /proc/sys/kernel/random/boot_id)"
    " $(systemctl show docker.service --value --property=InvocationID)"
)
