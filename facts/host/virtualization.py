"""Whether this is a machine of its own, a virtual machine, a container or WSL."""

from __future__ import annotations

from typing import Literal, TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, framed
from gpurig.contract.values import Unknown

# systemd-detect-virt knows best; the rest serves hosts without it, and says the same.
_EVIDENCE = r"""
if command -v systemd-detect-virt >/dev/null; then
    for kind in container vm; do
        said=$(systemd-detect-virt --$kind); status=$?
        # It ends with 1 where it is none, and says so.
        case $status:$said in 0:?*|1:none) ;; *) unread systemd-detect-virt $status ;; esac
        printf '%s %s\n' "$kind" "$said"
    done
fi
for manager in /run/systemd/container /run/host/container-manager; do
    [ ! -r "$manager" ] || printf 'container %s\n' "$(cat "$manager")"
done
if [ -r /proc/1/environ ]; then
    tr '\0' '\n' </proc/1/environ | sed -n 's/^container=\(..*\)/container \1/p'
fi
[ ! -e /run/.containerenv ] || echo 'container podman'
[ ! -e /.dockerenv ] || echo 'container docker'
case $(cat /proc/sys/kernel/osrelease) in *[Mm]icrosoft*|*WSL*) echo 'container wsl' ;; esac
for product in /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name; do
    [ ! -r "$product" ] || printf 'dmi %s\n' "$(cat "$product")"
done
sed -n '/^flags.* hypervisor/{s/.*/flag yes/p;q}; /^flags/{s/.*/flag no/p;q}' /proc/cpuinfo
exit 0
"""

# What makers of virtual machines write into DMI, and how systemd-detect-virt calls them.
_PRODUCTS = {
    "KVM": "kvm",
    "QEMU": "qemu",
    "VMware": "vmware",
    "VirtualBox": "oracle",
    "innotek": "oracle",
    "Xen": "xen",
    "Virtual Machine": "microsoft",
    "Google Compute Engine": "google",
    "Amazon EC2": "amazon",
    "Parallels": "parallels",
}


class Kind(TypedDict):
    """``name`` is systemd-detect-virt's; empty when ``kind`` is ``none``."""

    kind: Literal["none", "vm", "container", "wsl"]
    name: str


class Virtualization(Always[Kind]):
    """
    What this host runs in, the innermost first: a container in a VM is a container.

    ``{"kind": "container", "name": "systemd-nspawn"}``, ``{"kind": "vm", "name": "kvm"}``.
    """

    def command(self) -> StringCommand:
        return framed(f"(\n{_EVIDENCE}) 2>/dev/null")

    def parse(self, lines: list[str], code: int) -> Kind | Unknown:
        said: dict[str, list[str]] = {"container": [], "vm": [], "dmi": [], "flag": []}
        for line in lines:
            source, _, name = line.partition(" ")
            if name and name != "none":
                said[source].append(name)
        containers = said["container"]
        if inner := [name for name in containers if name != "wsl"]:
            return {"kind": "container", "name": inner[0]}
        if containers:
            return {"kind": "wsl", "name": "wsl"}
        if said["vm"]:
            return {"kind": "vm", "name": said["vm"][0]}
        if "vm none" in lines:
            return {"kind": "none", "name": ""}
        return _without_systemd(said["dmi"], said["flag"])


def _without_systemd(dmi: list[str], flag: list[str]) -> Kind | Unknown:
    if "no" in flag:
        return {"kind": "none", "name": ""}
    for mark, name in _PRODUCTS.items():
        if any(mark in product for product in dmi):
            return {"kind": "vm", "name": name}
    if "yes" in flag:
        return {"kind": "vm", "name": "vm-other"}
    if dmi:  # a maker that is known for no virtual machines
        return {"kind": "none", "name": ""}
    return Unknown("gpurig cannot tell whether this is a virtual machine")
