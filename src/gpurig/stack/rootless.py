"""Docker without root: whether it can be had, and what it needs."""

from __future__ import annotations

from gpurig.stack.model import Docker, Rootless, WayOut
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables


def rootless(site: Site, draft: Draft, docker: Docker | None) -> Rootless | None:
    """What rig_docker_rootless needs beside Docker, or None where it is not asked for."""
    if not site.settings.docker_rootless:
        return None
    wish = "rig_docker_rootless is true"
    without = WayOut(
        "set rig_docker_rootless = false", "users share the system's Docker, which makes them root"
    )
    if docker is None:
        why = next((item.reason for item in draft.left_out if item.component == "docker"), "")
        refuse([wish, f"Docker is left out: {why}"], without)
    names = set(docker.packages)
    for row in tables().rootless:
        if row.docker in names and row.manager == site.distribution.packages:
            draft.chose(
                f"rootless Docker with {', '.join(row.packages)}",
                "rig_docker_rootless asks for it; containers get GPUs by"
                " CDI or by the NVIDIA runtime in mode auto. Neither needs"
                " no-cgroups, so the system's Docker stays as it is",
                row.source,
            )
            return Rootless(tuple(row.packages))
    what = f"gpurig's tables do not have the packages that {docker.packages[0]} needs for it"
    refuse([wish, what], without)
