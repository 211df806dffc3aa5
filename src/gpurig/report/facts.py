"""Facts in plain words: for each fact the lines in which a person reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gpurig.contract.values import Unknown, from_json
from gpurig.facts.registry import FACTS
from gpurig.report.units import memory, size
from gpurig.stack.gpus import called, gpu

# What a person reads where a fact is ABSENT or empty; "none" for all others.
NOTHING = {
    "service_manager": "none (no systemd as PID 1)",
    "gpus": "none (no NVIDIA GPU on the PCI bus)",
    "reboot_required": "no",
    "driver_installed": "not installed",
    "docker_installed": "not installed",
}


def plain(value: Any) -> list[str]:
    """Any JSON value as lines: one for each item of a list, ``key value`` pairs of an object."""
    if isinstance(value, list):
        return [line for item in value for line in plain(item)]
    if isinstance(value, dict):
        return ["; ".join(f"{key.replace('_', ' ')} {_short(one)}" for key, one in value.items())]
    return [_short(value)]


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(one)}" for key, one in value.items()) or "none"
    return "none" if value in (None, "") else str(value)


def processors(value: Any) -> str:
    """The processors of a machine, without the marks that its maker writes into their name."""
    name = " ".join(re.sub(r"\((R|TM|C)\)|\bCPU\b|@.*", " ", value["cpu"], flags=re.I).split())
    count = value["cpus"]
    told = f"{count} logical CPU{'s' * (count > 1)}" if count else ""
    return ", ".join(filter(None, [name, told])) or "unknown"


def _kernel(value: Any) -> list[str]:
    following = value["next"]
    lines = [f"{value['running']} runs"]
    if following is None:
        lines.append("none in /boot: the kernel comes from outside this host")
    else:
        headers = "with" if following in value["headers"] else "without"
        same = ", the same" if following == value["running"] else ""
        lines.append(f"{following} boots next{same}, {headers} headers")
    others = [release for release in value["headers"] if release != following]
    return lines + ([f"headers also for {', '.join(others)}"] if others else [])


def _virtualization(value: Any) -> list[str]:
    called = {"none": "a physical machine", "vm": "a virtual machine", "container": "a container"}
    kind = called.get(value["kind"], "Windows Subsystem for Linux")
    return [f"{kind} ({value['name']})" if value["kind"] in ("vm", "container") else kind]


def _called(pci_id: str) -> str:
    """A PCI id with the architecture and compute capability of the tables, where they know it."""
    known = gpu(pci_id)
    if known.architecture is None:
        return pci_id
    return f"{called(known)}, {known.architecture}, compute {known.compute_capability}"


def _devices(value: Any) -> list[str]:
    return [
        f"{_called(one['id'])} at {one['address']}, "
        + (f"kernel driver {one['driver']}" if one["driver"] else "no kernel driver")
        for one in value
    ]


def _account(value: Any) -> list[str]:
    if value["uid"] == 0:
        return [value["name"]]
    asks = "sudo asks for a password" if value["sudo_installed"] else "no sudo"
    sudo = "sudo without a password" if value["sudo"] else asks
    return [f"{value['name']} ({sudo}; groups {', '.join(value['groups'])})"]


def _disk(value: Any) -> list[str]:
    mounts: dict[str, list[str]] = {}
    free = {room["mount"]: room["free_bytes"] for room in value}
    for room in value:
        mounts.setdefault(room["mount"], []).append(room["path"])
    return [f"{size(free[mount])} free for {', '.join(on)}" for mount, on in mounts.items()]


WORDS: dict[str, Callable[[Any], list[str]]] = {
    "machine": lambda value: [f"{value['name']}: {processors(value)}"],
    "os": lambda value: [value["name"]],
    "kernel": _kernel,
    "virtualization": _virtualization,
    "gpus": _devices,
    "accelerators": _devices,
    "pythons": lambda value: [f"{one['version']} ({one['path']})" for one in value],
    "user": _account,
    "memory": lambda value: [
        f"{memory(value['total_bytes'])}, {memory(value['available_bytes'])} of it available"
    ],
    "disk": _disk,
    "proxies": lambda value: [
        f"{variable}={proxy} ({place})"
        for place, settings in value.items()
        for variable, proxy in settings.items()
    ],
    "reboot_required": lambda value: [
        "requested by " + (", ".join(value["packages"]) or "the distribution")
    ],
}


def readable(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """
    The facts in plain words, as pairs of a section and one line of text.

    + facts: values or their JSON by the keys of `FACTS`; a fact that is not given is not told
    """
    lines: list[tuple[str, str]] = []
    for key in [*FACTS, *(key for key in facts if key not in FACTS)]:
        if key not in facts:
            continue
        section, value = key.replace("_", " "), from_json(facts[key])
        if isinstance(value, Unknown):
            lines.append((section, f"unknown: {value.reason}"))
        elif not value:
            lines.append((section, NOTHING.get(key, "none")))
        else:
            lines += [(section, text) for text in WORDS.get(key, plain)(value)]
    return lines
