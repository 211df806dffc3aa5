"""Frameworks without wheels: where they are not compiled, said before anything is started."""

from __future__ import annotations

from packaging.requirements import Requirement

from gpurig.stack.frameworks import releases
from gpurig.stack.model import WayOut
from gpurig.stack.site import Site, refuse


def refuse_unbuildable(site: Site, wish: Requirement) -> None:
    """Refuse a framework that is compiled on hosts, on a distribution where that was never done."""
    compiled = any(row.sdist_sha256 for row in releases(wish))
    if compiled and site.distribution.packages != "apt":
        name = site.distribution.name
        refuse(
            [
                f"{wish} in rig_frameworks",
                f"{name} has no wheels, and gpurig compiles it only on Debian and Ubuntu",
            ],
            WayOut(f"remove {wish.name} from rig_frameworks", "gpurig makes no environment for it"),
        )
