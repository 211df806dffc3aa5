"""What hosts tell of themselves, as facts of the resolver's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpurig.settings.checks import validate
from gpurig.stack.model import Refusal, Stack
from gpurig.stack.observed import Observed
from gpurig.stack.reading import saved
from gpurig.stack.resolver import resolve

KERNELS = {"12": "6.1.0-44-amd64", "13": "6.12.117+deb13-amd64"}

# One id of each architecture, with the years in which people still meet them.
IDS = {
    "kepler": "10de:102d",
    "maxwell": "10de:17c2",
    "pascal": "10de:1b06",
    "volta": "10de:1db4",
    "turing": "10de:1eb8",
    "ampere": "10de:20b5",
    "ada": "10de:26b9",
    "hopper": "10de:2330",
    "blackwell": "10de:2901",
    "rubin": "10de:3010",
}


def debian(
    release: str = "13",
    gpus: Sequence[str] = (),
    place: str = "none",
    kernel: str | None = "",
    told: Mapping[str, Any] | None = None,
) -> Observed:
    """
    A Debian host.

    + gpus: PCI ids on its bus; place: ``none``, ``vm``, ``container`` or ``wsl``
    + kernel: the newest in /boot, the release's own if empty, or None
    + told: facts by their key, which replace these
    """
    boots = KERNELS[release] if kernel == "" else kernel
    facts: dict[str, Any] = {
        "os": {
            "id": "debian",
            "version": release,
            "codename": {"12": "bookworm", "13": "trixie"}[release],
            "name": f"Debian GNU/Linux {release}",
            "like": [],
        },
        "architecture": "x86_64",
        "kernel": {
            "running": boots or "6.18.5",
            "next": boots,
            "installed": [boots] if boots else [],
            "headers": [],
        },
        "virtualization": {"kind": place, "name": "" if place == "none" else place},
        "secure_boot": "unsupported",
        "service_manager": "systemd",
        "gpus": [
            {
                "address": f"0000:{bus:02x}:00.0",
                "id": pci_id,
                "class": "0x030200",
                "subsystem": None,
                "driver": None,
            }
            for bus, pci_id in enumerate(gpus)
        ],
        "accelerators": [],
        "nvswitches": [],
        "dkms_failures": [],
        "pythons": [],
        "cuda_toolkits": [],
        "driver_installed": None,
        "docker_installed": None,
    }
    return saved({**facts, **(told or {})})


def answer(observed: Observed, kept: tuple[str, ...] = (), **wishes: Any) -> Stack | Refusal:
    """The resolver's answer; wishes are settings without ``rig_``, kept the keys of locks."""
    data: Mapping[str, Any] = {f"rig_{key}": value for key, value in wishes.items()}
    return resolve(validate(data, "test"), observed, kept)


def stack(observed: Observed, **wishes: Any) -> Stack:
    """The stack, where one is expected."""
    found = answer(observed, **wishes)
    assert isinstance(found, Stack), str(found)
    return found


def refusal(observed: Observed, **wishes: Any) -> Refusal:
    """The refusal, where one is expected."""
    found = answer(observed, **wishes)
    assert isinstance(found, Refusal), found
    return found


def left_out(found: Stack) -> dict[str, str]:
    """What is left out, with its reason."""
    return {item.component: item.reason for item in found.left_out}
