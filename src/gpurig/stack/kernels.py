"""The kernel that boots next, and the packages that keep headers with it."""

from __future__ import annotations

from gpurig.stack.model import Kernel, WayOut
from gpurig.stack.site import Draft, Site, refuse


def kernel(site: Site, draft: Draft) -> Kernel:
    """The kernel that the driver's module is built for; a refusal where it cannot be."""
    found = site.observed.kernel
    if not isinstance(found, dict):
        said = getattr(found, "reason", "there is none")
        install = WayOut("let `uname -r` and /boot be read", "nothing")
        refuse([f"the kernel is not known ({said}), and the driver is built for it"], install)
    # A kernel that no file in /boot holds comes from outside, and the next one will be the same;
    # but an image that is being baked boots with the one that is installed into it.
    release = found["next"] or (None if site.assumed else found["running"])
    row = site.architecture
    flavours = sorted(row.kernel_flavours, key=len, reverse=True)
    if release is None:
        flavour = row.kernel_flavours[0]
        reason = "none is in /boot yet"
    else:
        flavour = next((f for f in flavours if release.endswith(f"-{f}")), "")
        reason = "it boots next"
    if flavour:
        packages = (f"linux-image-{flavour}", f"linux-headers-{flavour}")
        reason += f"; the packages keep headers with the kernel {flavour}"
        draft.chose(f"kernel {release or packages[0]}", reason, row.source)
        return Kernel(release, packages)
    if release not in found["headers"]:
        refuse(
            [
                f"the kernel {release}, which is not the distribution's and has no headers",
                "a driver whose module is built for it",
            ],
            WayOut(f"install the headers of {release}", "you keep them yourself"),
            WayOut("boot the distribution's kernel", "a reboot"),
        )
    draft.chose(f"kernel {release}", "it boots next, and has headers of its own", "the host")
    return Kernel(release, ())
