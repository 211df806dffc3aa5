"""Docker and NVIDIA's container toolkit."""

from __future__ import annotations

from gpurig.stack.model import ContainerToolkit, Docker, Repository, WayOut
from gpurig.stack.rows import ToolkitRow
from gpurig.stack.site import Draft, Site
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers
from gpurig.values import Unknown


def docker(site: Site, draft: Draft) -> Docker | None:
    """The Docker to have, or None with the reason in the draft."""
    manager, there = site.observed.service_manager, site.observed.docker_installed
    if not draft.wants("docker"):
        draft.unwanted("docker")
    elif site.distribution.family == "macos":
        draft.leave_out("docker", "on macOS it runs in a virtual machine of its own")
    elif manager != "systemd":
        said = manager.reason if isinstance(manager, Unknown) else "nothing starts its daemon"
        draft.leave_out("docker", f"no systemd as PID 1 ({said})")
    elif isinstance(there, Unknown):
        draft.leave_out("docker", there.reason)
    elif site.distribution.docker is None:
        reason = f"{site.distribution.name} brings no Docker, and Docker's own is not yet set up"
        draft.leave_out("docker", reason)
    elif isinstance(there, dict) and _is_kept(site, there["source"]):
        feature = _cdi_feature(there["version"])
        reason = f"it is installed ({there['version']}) and kept"
        draft.chose(f"Docker {there['package']}", reason, "the host")
        return Docker(there["source"], (there["package"],), feature)
    else:
        row = site.distribution
        assert row.docker is not None
        reason = f"{row.name} brings {row.docker}"
        draft.chose(f"Docker {row.docker_packages[0]}", reason, row.source)
        return Docker("distribution", tuple(row.docker_packages), _cdi_feature(row.docker))
    return None


def _is_kept(site: Site, source: str) -> bool:
    """Whether an installed Docker is none that the distribution's row describes."""
    return source != "distribution" or site.distribution.docker is None


def container_toolkit(site: Site, draft: Draft, docker: Docker | None) -> ContainerToolkit | None:
    """The toolkit to have, or None with the reason in the draft."""
    name = "container-toolkit"
    if not draft.wants(name):
        draft.unwanted(name)
    elif not site.gpus:
        assume = WayOut("name GPUs in rig_assume_gpu", "they are assumed, not computed on")
        draft.leave_out(name, "no NVIDIA GPU", assume)
    elif docker is None:
        draft.leave_out(name, "without Docker nothing uses it")
    else:
        return _toolkit(site, draft, docker)
    return None


def _toolkit(site: Site, draft: Draft, docker: Docker) -> ContainerToolkit:
    (row,), (cdi,) = tables().toolkit, tables().cdi
    version = _version(site, docker)
    moved = site.settings.repositories.get(row.name, {})
    root = moved.get("url", row.root)
    repository = Repository(
        name=row.name,
        uri=_place(site, row).format(
            root=root, debian=site.architecture.debian, machine=site.architecture.machine
        ),
        suite=row.suite,
        components=(),
        key_url=moved.get("key_url", row.key.format(root=root)),
        fingerprint=moved.get("fingerprint", row.fingerprint),
    )
    where = "rig_repositories" if moved else "NVIDIA"
    draft.chose("container toolkit", f"a GPU and Docker are there; its place: {where}", row.source)
    if numbers(version) < numbers(cdi.first):
        how = f"--runtime=nvidia alone: Docker {version} knows no CDI, which came with {cdi.first}"
    elif docker.cdi_feature:
        how = f"CDI devices once features.cdi is on, by default from {cdi.on_by_default}"
    else:
        how = f"CDI devices: Docker {version} knows them by default"
    if site.inside == "wsl":
        how += "; under WSL the toolkit finds /dev/dxg by itself in this mode"
    draft.chose(f"runtime mode {row.mode}", f"containers get GPUs by {how}", cdi.source)
    return ContainerToolkit(tuple(row.packages), repository, row.mode, row.minimum_version)


def _version(site: Site, docker: Docker) -> str:
    there = site.observed.docker_installed
    if docker.source != "distribution" and isinstance(there, dict):
        return str(there["version"])
    return site.distribution.docker or str(there["version"] if isinstance(there, dict) else "")


def _place(site: Site, row: ToolkitRow) -> str:
    return row.rpm_uri if site.distribution.packages == "dnf" else row.uri


def _cdi_feature(version: str) -> bool:
    (row,), found = tables().cdi, _upstream(version)
    return numbers(row.first) <= numbers(found) < numbers(row.on_by_default)


def _upstream(version: str) -> str:
    """A package's version without its epoch: ``5:28.5.2-1~debian`` begins with 28."""
    return version.rpartition(":")[2]
