"""NVIDIA's own package repository for a site: where it is, and why it cannot be used."""

from __future__ import annotations

from gpurig.stack.model import Repository
from gpurig.stack.rows import NvidiaPackagesRow, NvidiaRepositoryRow
from gpurig.stack.site import Site
from gpurig.stack.tables import tables

NAME = "nvidia"
KEY_WAY = 'set rig_repositories = {"nvidia": {"fingerprint": …}}'


def repository_row(site: Site) -> NvidiaRepositoryRow | None:
    """Its row for this distribution, or None where NVIDIA has none."""
    here = (site.distribution.family, site.distribution.release)
    rows = tables().nvidia_repository
    return next((row for row in rows if (row.distribution, row.release) == here), None)


def obstacle(site: Site) -> str | None:
    """Why nothing can be had from it on this site, or None."""
    row, name = repository_row(site), site.distribution.name
    if row is None:
        return f"NVIDIA has no repository for {name}"
    if site.architecture.machine not in row.machines:
        return f"NVIDIA's repository for {name} has no packages for {site.architecture.machine}"
    if not (row.fingerprint or _moved(site).get("fingerprint")):
        return f"gpurig has no verified key of NVIDIA's repository for {name}"
    return None


def repository(site: Site) -> Repository:
    """The repository; only for sites without an `obstacle`."""
    row = repository_row(site)
    assert row is not None
    moved, (root,) = _moved(site), tables().nvidia_root
    place = f"{moved.get('url', root.address)}/{row.name}/{row.machines[site.architecture.machine]}"
    return Repository(
        name=NAME,
        uri=f"{place}/",
        suite="/",
        components=(),
        key_url=moved.get("key_url", f"{place}/{row.key}"),
        fingerprint=moved.get("fingerprint") or row.fingerprint or "",
    )


def packages_rows(site: Site, branch: int) -> list[NvidiaPackagesRow]:
    """How the packages of a branch are called there, one row for each flavour, open first."""
    found = [
        row
        for row in tables().nvidia_packages
        if row.family == site.distribution.family
        and (row.first_branch or 0) <= branch <= (row.last_branch or branch)
    ]
    return sorted(found, key=lambda row: row.flavour)


def _moved(site: Site) -> dict[str, str]:
    return dict(site.settings.repositories.get(NAME, {}))
