"""A host that is only described, on the command line, as the resolver sees hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpurig.errors import InputError
from gpurig.facts.driver.versions import upstream
from gpurig.stack.gpu_listings import Listed
from gpurig.stack.gpu_words import gpus
from gpurig.stack.gpus import called, gpu, is_nvswitch, name_of, row_of
from gpurig.stack.observed import Observed
from gpurig.stack.rows import DistributionRow, GpuRow
from gpurig.stack.tables import tables

NAME = "given"  # what the one host is called that nobody named

_DIGITS = frozenset("0123456789")
_DISPLAY, _COMPUTES, _SWITCH, _TPU = "0300", "0302", "0680", "1200"  # PCI classes
_SERVERS = re.compile(r"Tesla|GRID")  # cards without a screen
_JETSON = "6.8.12-tegra"  # the kernel of its own stack


@dataclass(frozen=True)
class Given:
    """
    What was said of a host.

    + os: ``debian:13``; kernel: the release that boots next, or None
    + arch: ``aarch64``; None is ``x86_64``, or what its GPUs exist beside
    + gpus: ids, names or listings of GPUs, as `gpu_words` reads them
    + driver: the version of the driver that is installed, or None
    + python: the version of its python3, or None
    + virtualization: ``none``, ``vm``, ``container`` or ``wsl``
    """

    os: str
    arch: str | None = None
    kernel: str | None = None
    gpus: Sequence[str] = ()
    driver: str | None = None
    python: str | None = None
    secure_boot: bool = False
    virtualization: str = "none"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Given | None:
        """From the options of `resolve`, None without any; InputError where they clash."""
        said = {
            name: options[name] for name in cls.__dataclass_fields__ if options.get(name)
        }  # an option that was not given is None, False or empty
        if not said:
            return None
        for other in ("target", "saved"):
            if options.get(other):
                raise InputError(
                    "given-wrong",
                    f"--{next(iter(said))} describes a machine, and"
                    f" {options[other]} names something else to resolve",
                    "resolve",
                    "give only one of them",
                )
        if "os" not in said:
            raise InputError("given-wrong", "the described machine has no distribution", "resolve",
                             "add --os, for example --os debian:13")  # fmt: skip
        return cls(**said)


def described(given: Given) -> Observed:
    """The host with nothing installed; InputError, one sentence, where a word is not right."""
    row, identity = _distribution(given.os)
    ids = [pci_id for text in given.gpus for pci_id in gpus(text).ids]
    switches = [word for word in ids if is_nvswitch(word)]
    listed = [word for word in ids if word[:4] == "10de" and word not in switches]
    jetson = any(row.jetson for row in map(row_of, listed) if row)
    kernel = _kernel(given.kernel or (_JETSON if jetson else None))
    facts: dict[str, Any] = {
        "os": identity,
        "architecture": _architecture(given.arch, listed),
        "kernel": {
            "running": kernel,
            "next": kernel or None,
            "installed": [kernel] if kernel else [],
            "headers": [],
        },
        "virtualization": _virtualization(given.virtualization),
        "secure_boot": "enabled" if given.secure_boot else "disabled",
        "service_manager": None if row.family == "macos" else "systemd",
        "gpus": [_device(n, word, _kind(word)) for n, word in enumerate(listed)],
        "accelerators": [
            _device(n, word, _TPU) for n, word in enumerate(ids) if word[:4] == "1ae0"
        ],
        "nvswitches": [_device(0xC0 + n, word, _SWITCH) for n, word in enumerate(switches)],
        "dkms_failures": [],
        "pythons": _pythons(given.python),
        "driver_installed": _driver(given.driver, listed),
        "cuda_toolkits": [],
        "docker_installed": None,
    }
    return Observed.from_facts(facts)


def _distribution(word: str) -> tuple[DistributionRow, dict[str, Any]]:
    """Its row, and what its os-release would say; a code name or ``sid`` will do as a version."""
    name, _, version = word.strip().lower().partition(":")
    for row in tables().distribution:
        if name in row.ids and _named(row, version):
            numbered = row.version if row.version[:1] in _DIGITS else ""
            identity = {
                "id": name,
                "version": version if version[:1] in _DIGITS else numbered,
                "codename": row.codename,
                "name": row.name,
                "like": [],
            }
            return row, identity
    known = ", ".join(row.word for row in tables().distribution)
    raise InputError("given-wrong", f"{word!r} is not in gpurig's tables of distributions", "--os",
                     f"gpurig knows {known}")  # fmt: skip


def _named(row: DistributionRow, version: str) -> bool:
    if not row.version:
        return True
    names = (row.version, row.codename)
    return bool(version) and (version in names or version.startswith(f"{row.version}."))


def _architecture(said: str | None, gpus: Sequence[str]) -> str:
    """What was said of it, else what its GPUs need; InputError where they clash."""
    arm = [one for one in gpus if (row := row_of(one)) and one.partition(":")[2] in row.arm]
    if not arm or said in ("aarch64", "arm64"):
        return said or ("aarch64" if arm else "x86_64")
    if said is None:
        return "aarch64"
    raise InputError("given-wrong", f"{called(gpu(arm[0]))} exists only beside Arm CPUs, not"
                     f" {said}", "--arch", "leave --arch out, or write --arch aarch64")  # fmt: skip


def _device(bus: int, word: Listed, usual: str) -> dict[str, Any]:
    """As sysfs has it, of the class that a listing shows, else of the usual one."""
    address, kind = f"0000:{bus:02x}:00.0", f"0x{word.kind or usual}00"
    return {"address": address, "id": str(word), "class": kind, "subsystem": None, "driver": None}


def _kind(pci_id: str) -> str:
    """The usual PCI class of a GPU: one that only a legacy driver supports is for a screen."""
    for_screens = _is_legacy(row_of(pci_id)) and not _SERVERS.match(name_of(pci_id))
    return _DISPLAY if for_screens else _COMPUTES


def _is_legacy(row: GpuRow | None) -> bool:
    branches = {branch.number for branch in tables().branch if branch.kind == "legacy"}
    return row is not None and row.last_branch in branches


def _kernel(release: str | None) -> str:
    if release and not re.fullmatch(r"[0-9]+\.[0-9]+[A-Za-z0-9_.+~-]*", release):
        raise InputError("given-wrong", f"{release!r} is no kernel release", "--kernel",
                         "write it as uname -r prints it, for example"
                         " 6.12.117+deb13-amd64")  # fmt: skip
    return release or ""


def _driver(version: str | None, gpus: Sequence[str]) -> dict[str, Any] | None:
    """The driver that is there, by whatever way it came; in the flavour that drives the GPUs."""
    if version is None:
        return None
    if upstream(version) != version:
        raise InputError("given-wrong", f"{version!r} is no version of NVIDIA's driver", "--driver",
                         "write it as nvidia-smi shows it, for example 535.183.01, or let gpurig"
                         " choose one with --set rig_driver_branch=535")  # fmt: skip
    if not gpus:
        raise InputError("given-wrong", "the described machine has no GPU that it could drive",
                         "--driver", "add --gpu")  # fmt: skip
    only_open = any(row.flavours == ["open"] for pci_id in gpus if (row := row_of(pci_id)))
    flavour = "open" if only_open else "proprietary"
    return {"version": version, "flavour": flavour, "source": "other", "packages": [], "held": []}


def _virtualization(word: str) -> dict[str, str]:
    return {"kind": word, "name": "" if word == "none" else word}


def _pythons(version: str | None) -> list[dict[str, str]]:
    if version is None:
        return []
    if not re.fullmatch(r"3\.[0-9]{1,2}(\.[0-9]+)?", version):
        raise InputError("given-wrong", f"{version!r} is no version of Python 3", "--python",
                         "write it like 3.13")  # fmt: skip
    return [{"path": "/usr/bin/python3", "version": version}]
