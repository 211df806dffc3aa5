"""NVIDIA's module for each of several kernels: what loads there, who signed it, its firmware."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown
from gpurig.facts.driver.modprobe import MODPROBE
from gpurig.facts.driver.module import FLAVOURS, RESOLVE, Module

# The module itself names the firmware that it asks for, with its version in the path.
_OF_KERNEL = r"""
of_kernel() {
    printf 'release %s\n' "$1"
    MODPROBE || return
    f=$(resolve "$1") && [ -n "$f" ] || return
    printf 'path %s\n' "$f"
    for field in version license signer sig_key; do
        printf '%s %s\n' "$field" "$(must modinfo -F "$field" "$f" | head -n 1)"
    done
    must modinfo -F firmware "$f" | while read -r image; do
        state=missing
        for found in "/lib/firmware/$image" "/lib/firmware/updates/$image"; do
            for form in "" .xz .zst; do [ -s "$found$form" ] && state=found; done
        done
        printf '%s %s\n' "$state" "$image"
    done
}
""".replace("MODPROBE", MODPROBE)


class KernelModule(TypedDict):
    """
    What one kernel has of NVIDIA.

    + release: that kernel's; resolved: what ``modprobe nvidia`` would load there, or ``None``
    + signer: the name of the key that signed it, empty if none did; key: the certificate's serial
      number (``21B3C101``)
    + firmware: the files it may ask for (``nvidia/550.163.01/gsp_tu10x.bin``); missing: those of
      them that are not there
    """

    release: str
    resolved: Module | None
    signer: str
    key: str
    firmware: list[str]
    missing: list[str]


class KernelModules(Always[list[KernelModule]]):
    """
    NVIDIA's module for each of these kernels.

    + releases: of the kernels, separated by blanks

    ``[{"release": "6.12.117+deb13-amd64", "resolved": {"path": "/lib/modules/…", "version":
    "550.163.01", "flavour": "open"}, "signer": "DKMS module signing key", "key": "21B3C101",
    "firmware": ["nvidia/550.163.01/gsp_ga10x.bin"], "missing": []}]``
    """

    def command(self, releases: str) -> StringCommand:
        asked: list[str | QuoteString] = []
        for release in releases.split():
            asked += ["of_kernel", QuoteString(release), ";"]
        return framed(StringCommand(f"{RESOLVE}{_OF_KERNEL}", *asked, ":"))

    def parse(self, lines: list[str], code: int) -> list[KernelModule] | Unknown:
        found: list[KernelModule] = []
        said: dict[str, str] = {}
        for line in lines:
            word, _, value = line.partition(" ")
            if word == "release":
                said = {}
                found.append(
                    KernelModule(
                        release=value, resolved=None, signer="", key="", firmware=[], missing=[]
                    )
                )
            elif word in ("found", "missing"):
                found[-1]["firmware"].append(value)
                if word == "missing":
                    found[-1]["missing"].append(value)
            else:
                said[word] = value
                if word == "sig_key":
                    found[-1]["resolved"] = _module(said)
                    found[-1]["signer"] = said["signer"]
                    found[-1]["key"] = serial(said["sig_key"])
        return found if not code else Unknown("gpurig cannot look up the kernel modules")


def _module(said: dict[str, str]) -> Module:
    license_ = said["license"]
    return Module(
        path=said["path"], version=said["version"], flavour=FLAVOURS.get(license_, license_)
    )


def serial(written: str) -> str:
    """A certificate's serial number in one spelling: upper case, no colons, no leading zeros."""
    return written.strip().replace(":", "").upper().lstrip("0")
