"""The kernel that boots next, and the packages that keep headers with it."""

from __future__ import annotations

from gpurig.stack.model import Kernel, WayOut
from gpurig.stack.rows import KernelsRow
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables


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
    if row and flavour:
        image = row.image.format(flavour=flavour)
        packages = (image, *(name.format(flavour=flavour) for name in row.headers))
        reason = "it boots next" if release else "/boot has no kernel yet"
        reason += f"; the packages bring headers for each {flavour} kernel"
        draft.chose(f"kernel {release or image}", reason, row.source)
        return Kernel(release, packages, boot)
    if release is None or release not in found["headers"]:
        refuse(
            [
                f"kernel {release} is not the distribution's and has no headers",
                "the driver's module must be built for it",
            ],
            WayOut(f"install the headers of {release}", "you keep them up to date yourself"),
            WayOut("boot the distribution's kernel", "a reboot"),
        )
    draft.chose(f"kernel {release}", "it boots next, and its headers are installed", "the host")
    return Kernel(release, (), boot)


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
