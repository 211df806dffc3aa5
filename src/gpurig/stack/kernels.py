"""The kernel that boots next, and the packages that keep headers with it."""

from __future__ import annotations

from gpurig.stack.model import Kernel, WayOut
from gpurig.stack.rows import KernelsRow
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

PROXMOX = "-pve"
PROXMOX_SOURCE = (
    "pve.proxmox.com, package names as reported: proxmox-headers-6.8, before 6.5 pve-headers-6.2"
)


def kernel(site: Site, draft: Draft) -> Kernel:
    """The kernel that the driver's module is built for; a refusal where it cannot be."""
    found = site.observed.kernel
    if not isinstance(found, dict):
        said = getattr(found, "reason", "the host has none")
        install = WayOut("make `uname -r` and /boot readable", "nothing")
        refuse([f"gpurig cannot read the kernel ({said}), and the driver is built for it"], install)
    # A kernel that no file in /boot holds comes from outside, and the next one will be the same;
    # but an image that is being baked boots with the one that is installed into it.
    release = found["next"] or (None if site.assumed else found["running"]) or None
    row, boot = _row(site), site.settings.boot_kernel
    flavour = _flavour(row, release)
    if row and flavour and release is None:
        image, *headers = (name.format(flavour=flavour) for name in (row.image, *row.headers))
        reason = f"/boot has no kernel yet; {', '.join(headers)} brings headers for each one"
        draft.chose(f"kernel {image}", reason, row.source)
        return Kernel(None, (image, *headers), boot)
    names: tuple[str, ...] = ()
    source = ""
    if release and release.endswith(PROXMOX):
        names, source = (_proxmox(release),), PROXMOX_SOURCE
    elif row and flavour and release:
        names, source = _headers(site, row, flavour, release), row.source
    if source:
        brings = f"{', '.join(names)} brings headers for each kernel of its line"
        no = "no package brings headers for each kernel of its line, so each one has its own"
        draft.chose(f"kernel {release}", f"it boots next; {brings if names else no}", source)
        return Kernel(release, names, boot)
    if release is None or release not in found["headers"]:
        refuse(
            [
                f"kernel {release} is not the distribution's and has no headers",
                "the driver's module must be built for it",
            ],
            WayOut(f"install the headers of {release}", "you keep them up to date yourself"),
            WayOut(f"boot a kernel of {site.distribution.name}", "a reboot"),
        )
    draft.chose(f"kernel {release}", "it boots next, and its headers are installed", "the host")
    return Kernel(release, (), boot)


def _headers(site: Site, row: KernelsRow, flavour: str, release: str) -> tuple[str, ...]:
    """What brings headers for the line of kernels that this one is of, and for no other line."""
    own, series = site.distribution.kernel, ".".join(map(str, numbers(release)[:2]))
    lines = row.first_lines if not own or series == own else row.lines
    here = site.distribution.release
    name = lines.get(f"{flavour} {here}", lines.get(flavour))
    if name is None:
        return tuple(one.format(flavour=flavour) for one in row.headers)
    return (name.format(release=here, series=series),) if name else ()


def _proxmox(release: str) -> str:
    """Proxmox's package of headers for a series; from 6.5 on its kernels have their own name."""
    series = numbers(release)[:2]
    name = "proxmox-headers" if series >= (6, 5) else "pve-headers"
    return f"{name}-{series[0]}.{series[1]}"


def line(kernel: Kernel) -> str | None:
    """The line that Ubuntu names the modules of its kernels by: ``generic-hwe-24.04``."""
    start = "linux-headers-"
    named = (name.removeprefix(start) for name in kernel.packages if name.startswith(start))
    return next(named, None)


def _row(site: Site) -> KernelsRow | None:
    here = (site.distribution.family, site.architecture.machine)
    return next((row for row in tables().kernels if (row.family, row.machine) == here), None)


def _flavour(row: KernelsRow | None, release: str | None) -> str | None:
    if row is None:
        return None
    if release is None:
        return row.flavours[0]
    longest_first = sorted(row.flavours, key=len, reverse=True)
    return next((f for f in longest_first if release.endswith((f"-{f}", f".{f}"))), None)
