"""
The keys of Docker's daemon.json on Linux, each with the kind of value that dockerd takes.

Source: the JSON tags in moby/moby, ``daemon/config/config.go``, ``config_linux.go`` and
``daemon/pkg/registry/config.go`` (read 2026-11-25, API 1.52), and, for Docker 20.10 to 26.1 as
Debian has them, the example in Docker's reference of dockerd. A key that one version does not know
is refused there by ``dockerd --validate``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gpurig.settings.kinds import is_secret

TEXT, SWITCH, NUMBER, LIST, TABLE, TEXTS = (
    "a text",
    "true or false",
    "a whole number",
    "a list",
    "a table",
    "a table of texts",
)

_BY_KIND = {
    TEXT: """
        bip bip6 bridge bridge-accept-fwmark cgroup-parent containerd containerd-namespace
        containerd-plugin-namespace data-root default-cgroupns-mode default-gateway
        default-gateway-v6 default-init default-ipc-mode default-runtime default-shm-size exec-root
        firewall-backend fixed-cidr fixed-cidr-v6 group host-gateway-ip init-path ip log-driver
        log-format log-level metrics-addr pidfile resolv-conf seccomp-profile storage-driver
        swarm-default-advertise-addr tlscacert tlscert tlskey userland-proxy-path userns-remap
    """,
    SWITCH: """
        allow-direct-routing cri-containerd debug experimental icc init ip-forward
        ip-forward-no-drop ip-masq ip6tables iptables ipv6 live-restore no-new-privileges raw-logs
        rootless selinux-enabled tls tlsverify userland-proxy
    """,
    NUMBER: """
        cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads
        max-download-attempts mtu network-control-plane-mtu network-diagnostic-port
        oom-score-adjust shutdown-timeout swarm-raft-election-tick swarm-raft-heartbeat-tick
    """,
    LIST: """
        allow-nondistributable-artifacts authorization-plugins cdi-spec-dirs default-address-pools
        dns dns-opts dns-search exec-opts host-gateway-ips hosts insecure-registries labels
        node-generic-resources registry-mirrors storage-opts
    """,
    TABLE: "builder default-network-opts default-ulimits features proxies runtimes",
    TEXTS: "log-opts",
}
KINDS: Mapping[str, str] = {key: kind for kind, keys in _BY_KIND.items() for key in keys.split()}

_USER_IN_URL = re.compile(r"://[^/\s\"@]*@")
# dockerd takes http:// for granted.
_USER_IN_PLACE = re.compile(r"[^/\s@:]*:[^/\s@]*@[A-Za-z0-9\[]")


def daemon(value: Any) -> dict[str, Any]:
    """Keys of Docker's daemon.json."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("a table of daemon.json's keys")
    if "hosts" in value:
        raise ValueError(
            "a table without hosts: Debian's docker.service sets it on its command line"
        )
    runtimes, features = value.get("runtimes"), value.get("features")
    if isinstance(runtimes, Mapping) and "nvidia" in runtimes:
        raise ValueError(
            "a table without runtimes.nvidia: gpurig sets it for the container toolkit"
        )
    if isinstance(features, Mapping) and "cdi" in features:
        raise ValueError("a table without features.cdi: gpurig sets it for the container toolkit")
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError("a table of JSON values") from error
    if refused := _wrong(plain):
        raise ValueError(refused)
    if any(_USER_IN_URL.search(text) or _USER_IN_PLACE.match(text) for text in _texts(plain)):
        raise ValueError(
            "a table without user or password in a URL: every user can read daemon.json"
        )
    if any("@" in text for text in _texts(plain.get("proxies", {}))):
        raise ValueError(
            "a table without user or password of a proxy: every user can read daemon.json"
        )
    return dict(plain)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _wrong(daemon: Mapping[str, Any]) -> str | None:
    """
    What dockerd would refuse of these keys, as it follows "must be": ``without 'log-opt', …``.

    ``None`` when every key is known and has the right kind of value.
    """
    for key, value in daemon.items():
        if key not in KINDS:
            near = difflib.get_close_matches(key, KINDS, n=1, cutoff=0.5)
            meant = f" (did you mean {near[0]}?)" if near else ""
            return f"a table of daemon.json's keys, and {key!r} is none{meant}"
        if not _is(KINDS[key], value):
            return f"a table whose {key} is {KINDS[key]}"
    return None


def secret(daemon: Any, below: str = "") -> Iterator[str]:
    """Keys that are secret by name, also deeper or as ``NAME=…``: ``log-opts.splunk-token``."""
    if isinstance(daemon, list):
        named = [text.partition("=") for text in daemon if isinstance(text, str)]
        daemon = {name: value for name, equals, value in named if equals}
    if isinstance(daemon, dict):
        for name, value in daemon.items():
            if is_secret(name):
                yield f"{below}{name}"
            else:
                yield from secret(value, f"{below}{name}.")


def _is(kind: str, value: Any) -> bool:
    if kind == TEXTS:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if kind == NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {TEXT: str, SWITCH: bool, LIST: list, TABLE: dict}[kind])
