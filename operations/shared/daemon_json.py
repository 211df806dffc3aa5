"""Docker's daemon.json: what to write into it, and what the running daemon has not taken yet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gpurig.facts.docker.daemon_json import DaemonFile, Read
from gpurig.facts.docker.engine import Daemon
from gpurig.operations.shared.words import few

NVIDIA_RUNTIME: Mapping[str, Any] = {"path": "nvidia-container-runtime", "args": []}

# Two spellings of the one executable that the container toolkit installs.
_SAME_RUNTIME = {"nvidia-container-runtime", "/usr/bin/nvidia-container-runtime"}

# What dockerd takes on SIGHUP (moby, daemon/reload.go), as long as the key is in the file:
# one that was removed keeps its old value until a restart.
RELOADED = frozenset(
    {
        "allow-nondistributable-artifacts",
        "debug",
        "default-runtime",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)

# With live-restore containers outlive a restart, unless what they stand on changes with it
# (network, storage). These are known not to.
OUTLIVED = RELOADED | {"features", "log-driver", "log-opts", "default-shm-size"}

# What `docker info` tells by value, with dockerd's defaults; everything else is only known from a
# record (it also tells data-root, but with links followed, so that it need not look the same).
_TOLD: Mapping[str, Any] = {
    "runtimes": {},
    "default-runtime": "runc",
    "live-restore": False,
    "debug": False,
    "labels": [],
    "registry-mirrors": [],
    "log-driver": "json-file",
}


def wanted(daemon: Mapping[str, Any], nvidia: bool, cdi: bool) -> dict[str, Any]:
    """
    The keys daemon.json should have.

    + daemon: the user's own (``rig_docker_daemon``)
    + nvidia: register the NVIDIA runtime; cdi: switch on the feature ``cdi``
    """
    keys: dict[str, Any] = {}
    if nvidia:
        keys["runtimes"] = {"nvidia": dict(NVIDIA_RUNTIME)}
    if cdi:
        keys["features"] = {"cdi": True}
    return merged(keys, daemon)


def merged(config: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with `keys` in it: objects are merged, every other key stays, in its order."""
    result = dict(config)
    for key, value in keys.items():
        old = result.get(key)
        if key == "nvidia" and value == NVIDIA_RUNTIME and _is_nvidia_runtime(old):
            continue
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def _is_nvidia_runtime(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("path") in _SAME_RUNTIME


def differences(
    config: Mapping[str, Any], keys: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, str, str]]:
    """Where `config` differs from `keys`: (key with dots, what is there, what should be)."""
    found = []
    goal = merged(config, keys)
    for key, value in goal.items():
        old = config.get(key)
        if old == value and key in config:
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            found += differences(old, value, f"{prefix}{key}.")
        else:
            is_ = f"{prefix}{key} is {_short(old)}" if key in config else f"no {prefix}{key}"
            found.append((f"{prefix}{key}", is_, f"{prefix}{key} {_short(value)}"))
    return found


def _short(value: Any) -> str:
    text = re.sub(r"://[^/\s\"@]*@", "://", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:57] + "..."


def untaken(config: Mapping[str, Any], daemon: Daemon, flags: Iterable[str]) -> dict[str, str]:
    """
    The keys that the running daemon uses otherwise than the file says, each with the value in use.

    + flags: keys given on the command line, which need not be in the file
    """
    found: dict[str, str] = {}
    flags = set(flags)
    for key in sorted(_TOLD.keys() - flags - {"runtimes"}):
        told = config.get(key)
        want_value, is_value = _TOLD[key] if told is None else told, _in_use(daemon, key)
        if _plain(want_value) != _plain(is_value):
            found[key] = _short(is_value)
    in_use = {name: path for name, path in daemon["runtimes"].items() if not _stock(name)}
    if not _same_runtimes(config.get("runtimes") or {}, in_use, more="runtimes" in flags):
        found["runtimes"] = ", ".join(sorted(in_use)) or "none"
    cdi = (config.get("features") or {}).get("cdi")
    # CDI came with Docker 25; before, the switch does nothing
    if cdi is not None and _major(daemon) >= 25 and cdi is not bool(daemon["cdi_spec_dirs"]):
        found["features"] = f"CDI {'on' if daemon['cdi_spec_dirs'] else 'off'}"
    return found


def _same_runtimes(wanted: Mapping[str, Any], in_use: Mapping[str, str], more: bool) -> bool:
    """
    Whether these are the runtimes that the daemon uses.

    + in_use: name → path; shims have none, and dockerd may tell the path it found for a name
    + more: whether others are given on the command line, which are added to the file's
    """
    paths = {name: entry.get("path", "") for name, entry in wanted.items()}
    same_names = paths.keys() <= in_use.keys() if more else paths.keys() == in_use.keys()
    return same_names and all(not path or in_use[n] == path for n, path in paths.items())


def _stock(runtime: str) -> bool:
    return runtime == "runc" or runtime.startswith("io.containerd.")


def _in_use(daemon: Daemon, key: str) -> Any:
    told: Mapping[str, Any] = daemon
    return told[key.replace("-", "_")]


def _plain(value: Any) -> Any:
    return sorted(str(one).rstrip("/") for one in value) if isinstance(value, list) else value


def _major(daemon: Daemon) -> int:
    digits = daemon["version"].partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def stopped(policies: Mapping[str, str]) -> str:
    """
    The running containers that a restart of Docker stops, by name, and which of them come back.

    + policies: container → restart policy; a daemon that starts again starts those with ``always``
      and ``unless-stopped``, not ``on-failure`` (Docker's manual, "Start containers automatically")
    """
    count = "1 running container" if len(policies) == 1 else f"{len(policies)} running containers"
    back = sorted(name for name, one in policies.items() if one in ("always", "unless-stopped"))
    gone = sorted(policies.keys() - set(back))
    said = [few(gone, 5)] if gone else []
    said += [f"{few(back, 5)} (start again, restart={policies[back[0]]})"] if back else []
    return f"{count}: {'; '.join(said)}"


def untold(config: Mapping[str, Any]) -> dict[str, str]:
    """Key → hash of the value, of the keys that `docker info` does not tell."""
    rest = {key: value for key, value in config.items() if key not in _TOLD}
    features = {k: v for k, v in (rest.pop("features", None) or {}).items() if k != "cdi"}
    if features:
        rest["features"] = features
    return {
        key: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for key, value in sorted(rest.items())
    }


def unconfirmed(config: Mapping[str, Any], changed: float, read: Read) -> set[str]:
    """
    The keys of which it is not known that the daemon has read their value.

    + changed: when the file was last changed, in seconds since 1970

    Where nothing was recorded, clocks are the last resort, in the one direction that is safe: a
    file that has not changed since before the daemon started is what it read.
    """
    now = untold(config)
    known = read["confirmed"]
    if known is not None:
        return {key for key in now.keys() | known.keys() if now.get(key) != known.get(key)}
    return set() if changed < read["started"] else set(now)


@dataclass(frozen=True)
class Change:
    """
    What the running daemon does not use of its daemon.json, and how it comes to use it.

    + flags: keys given on the command line; read: what is known of when it read the file
    """

    file: DaemonFile
    daemon: Daemon
    flags: Mapping[str, str]
    read: Read

    @cached_property
    def _otherwise(self) -> dict[str, str]:
        found = untaken(self.file["config"], self.daemon, self.flags)
        if self.read["file"] not in ("", self.file["path"]):
            found["config-file"] = self.read["file"]
        return found

    @cached_property
    def asked(self) -> frozenset[str]:
        """The keys that it uses otherwise, or of which nobody knows that it uses them."""
        unsure = unconfirmed(self.file["config"], self.file["changed"], self.read)
        return frozenset({*self._otherwise, *unsure})

    @property
    def told(self) -> str:
        """How that shows, in words."""
        return ", ".join(
            f"the daemon uses {key} {self._otherwise[key]}"
            if key in self._otherwise
            else f"the daemon may not use {key}"
            for key in sorted(self.asked)
        )

    @property
    def _reloaded(self) -> frozenset[str]:
        return self.asked & RELOADED & self.file["config"].keys()

    @property
    def outlived(self) -> bool:
        """Whether containers outlive a restart for these keys."""
        # It must be on when dockerd goes down, and still when it comes back.
        flagged = "live-restore" in self.flags and self.daemon["live_restore"]
        alive = self.file["config"].get("live-restore", flagged) is True
        return alive and self.asked <= OUTLIVED

    @property
    def kept_alive(self) -> bool:
        """Whether there are containers that outlive it."""
        return bool(self.daemon["containers_running"]) and self.outlived

    @property
    def _at_risk(self) -> bool:
        return bool(self.daemon["containers_running"]) and not self.outlived

    def stops_containers(self, restart: bool) -> bool:
        """Whether all of it, or with no restart asked for its next step, stops containers."""
        return self._at_risk and (restart or not self._reloaded)

    def by_reload(self, restart: bool) -> bool:
        """Whether a reload does it, or as much of it as may be done while containers run."""
        return self._reloaded == self.asked or (self._at_risk and not restart)

    @property
    def confirmed_by_reload(self) -> dict[str, str]:
        """Key → hash of what is known to be in effect after a reload."""
        return (self.read["confirmed"] or {}) | {
            key: value
            for key, value in untold(self.file["config"]).items()
            if key in self._reloaded or key not in self.asked
        }
