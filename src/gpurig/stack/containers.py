"""Docker and NVIDIA's container toolkit."""

from __future__ import annotations

from typing import Any, NoReturn

from gpurig.contract.values import Unknown
from gpurig.stack.model import ContainerToolkit, Docker, Repository, WayOut
from gpurig.stack.rows import DockerRow, ToolkitRow
from gpurig.stack.site import Draft, Site, refuse
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers


def docker(site: Site, draft: Draft) -> Docker | None:
    """The Docker to have, or None with the reason in the draft."""
    manager, there = site.observed.service_manager, site.observed.docker_installed
    if not draft.wants("docker"):
        draft.unwanted("docker")
    elif site.distribution.family == "macos":
        draft.leave_out("docker", "on macOS Docker runs in its own virtual machine")
    elif isinstance(manager, Unknown):
        draft.undecided("docker", f"gpurig cannot tell what starts its daemon ({manager.reason})")
    elif manager != "systemd":
        draft.leave_out("docker", "no systemd as PID 1 (nothing would start its daemon)")
    elif isinstance(there, Unknown):
        draft.undecided("docker", there.reason)
    else:
        return _chosen(site, draft, there)
    return None


def _chosen(site: Site, draft: Draft, there: Any) -> Docker | None:
    """From where it comes: what is installed stays unless another source is asked for."""
    wish, row = site.settings.docker_source, site.distribution
    installed = there if isinstance(there, dict) else None
    if wish == "docker":
        return _from_docker(site, draft, installed)
    if row.docker is None:
        if wish == "distribution":
            _refuse_source(wish, f"gpurig knows no Docker of {row.name}")
        reason = f"gpurig knows no Docker of {row.name}, and gpurig does not set up Docker CE on it"
        draft.leave_out("docker", reason)
        return None
    if wish == "auto" and installed and installed["source"] != "distribution":
        feature = _cdi_feature(installed["version"])
        reason = f"it is installed ({installed['version']}) and stays"
        draft.chose(f"Docker {installed['package']}", reason, "the host")
        return Docker(installed["source"], (installed["package"],), feature)
    draft.chose(f"Docker {row.docker_packages[0]}", f"{row.name} has {row.docker}", row.source)
    # What is installed is not upgraded, and may be older than what the distribution has now.
    stays = installed is not None and installed["source"] == "distribution"
    version = installed["version"] if installed and stays else row.docker
    return Docker("distribution", tuple(row.docker_packages), _cdi_feature(version))


def _from_docker(site: Site, draft: Draft, installed: Any) -> Docker:
    """Docker CE from Docker's repository, or a refusal where it does not serve the site."""
    here = site.distribution
    row = next((row for row in tables().docker if row.family == here.family), None)
    if row is None:
        _refuse_source("docker", f"gpurig has no verified key of Docker's packages for {here.name}")
    if here.codename not in row.suites:
        served = ", ".join(row.suites)
        _refuse_source("docker", f"Docker's repository has {served}, not {here.name}")
    moved = site.settings.repositories.get(row.name, {})
    root = moved.get("url", row.root)
    repository = Repository(
        name=row.name,
        uri=row.uri.format(root=root),
        suite=here.codename,
        components=tuple(row.components),
        key_url=moved.get("key_url", row.key.format(root=root)),
        fingerprint=moved.get("fingerprint", row.fingerprint),
    )
    where = "the mirror in rig_repositories" if moved else "Docker's repository"
    draft.chose(f"Docker {row.packages[0]}", f"chosen by rig_docker_source, from {where}",
                row.source)  # fmt: skip
    feature = _cdi_feature(_of_docker(row, installed))
    return Docker("docker", tuple(row.packages), feature, repository)


def _of_docker(row: DockerRow, installed: Any) -> str:
    """The version of Docker's own packages: the installed one's, else what is had at least."""
    there = installed and installed["source"] == "docker"
    return str(installed["version"]) if there else row.version


def _refuse_source(source: str, reason: str) -> NoReturn:
    refuse(
        [f'rig_docker_source = "{source}"', reason],
        WayOut("remove rig_docker_source", "gpurig uses the distribution's Docker, if it has one"),
        WayOut("set rig_components without docker", "gpurig sets up no Docker"),
    )


def container_toolkit(site: Site, draft: Draft, docker: Docker | None) -> ContainerToolkit | None:
    """The toolkit to have, or None with the reason in the draft."""
    name = "container-toolkit"
    if not draft.wants(name):
        draft.unwanted(name)
    elif not site.gpus:
        assume = WayOut("set rig_assume_gpu", "gpurig assumes these GPUs; nothing computes on them")
        draft.leave_out(name, site.no_gpu, assume)
    elif draft.is_undecided("docker"):
        draft.undecided(name, "it needs Docker")
    elif docker is None:
        draft.leave_out(name, "nothing uses it without Docker")
    else:
        return _toolkit(site, draft, docker)
    return None


def _toolkit(site: Site, draft: Draft, docker: Docker) -> ContainerToolkit:
    (row,), (cdi,) = tables().toolkit, tables().cdi
    version = _upstream(_version(site, docker))
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
    where = "the mirror in rig_repositories" if moved else "NVIDIA's repository"
    draft.chose("container toolkit", f"the host has a GPU and Docker; from {where}", row.source)
    if numbers(version) < numbers(cdi.first):
        how = f"--runtime=nvidia only: Docker {version} has no CDI (Docker {cdi.first} added it)"
    elif docker.cdi_feature:
        how = (
            f"CDI devices: gpurig sets features.cdi, the default from Docker {cdi.on_by_default} on"
        )
    else:
        how = f"CDI devices: Docker {version} has them on by default"
    if site.inside == "wsl":
        how += "; under WSL the toolkit finds /dev/dxg by itself in this mode"
    draft.chose(f"runtime mode {row.mode}", f"containers get GPUs by {how}", cdi.source)
    return ContainerToolkit(
        tuple(row.packages), repository, row.mode, row.minimum_version, _wished(site, row)
    )


def _wished(site: Site, row: ToolkitRow) -> str | None:
    """The version of the toolkit that is wished for, None for any; refused where it cannot be."""
    wish = site.settings.container_toolkit
    if wish == "auto":
        return None
    drop = WayOut(
        "remove rig_container_toolkit", "an installed toolkit stays, else gpurig takes the newest"
    )
    if numbers(wish) < numbers(row.minimum_version):
        why = f"the container toolkit must be {row.minimum_version} or newer ({row.source})"
        newer = f"set rig_container_toolkit to {row.minimum_version} or newer"
        refuse(
            [f"rig_container_toolkit is {wish}", why],
            WayOut(newer, "gpurig installs that version"),
            drop,
        )
    if site.distribution.packages != "apt":
        why = "gpurig can install a given version only with apt"
        refuse([f"rig_container_toolkit is {wish}", why], drop)
    return wish


def _version(site: Site, docker: Docker) -> str:
    there = site.observed.docker_installed
    if isinstance(there, dict) and there["source"] == docker.source:
        return str(there["version"])
    if docker.source == "distribution":
        return str(site.distribution.docker)
    return next(row.version for row in tables().docker if row.family == site.distribution.family)


def _place(site: Site, row: ToolkitRow) -> str:
    return row.rpm_uri if site.distribution.packages == "dnf" else row.uri


def _cdi_feature(version: str) -> bool:
    (row,), found = tables().cdi, _upstream(version)
    return numbers(row.first) <= numbers(found) < numbers(row.on_by_default)


def _upstream(version: str) -> str:
    """A package's version without its epoch: ``5:28.5.2-1~debian`` begins with 28."""
    return version.rpartition(":")[2]
