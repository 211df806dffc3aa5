"""What hardware, settings, kernel and packages on hold demand of a driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpurig.facts.driver.versions import branch
from gpurig.stack.candidates import Candidate
from gpurig.stack.demands import Demand
from gpurig.stack.gpus import called, driven_by, row_of, too_old
from gpurig.stack.model import Gpu, Kernel, WayOut
from gpurig.stack.nvidia import KEY_WAY
from gpurig.stack.rows import BrokenRow
from gpurig.stack.site import Site
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers


def of_gpu(site: Site, gpu: Gpu) -> Demand:
    """That the driver drives this GPU, whose architecture is known: by its family and its id."""
    row = row_of(gpu.id)
    assert row is not None  # only asked of GPUs with an architecture

    def against(c: Candidate) -> str | None:
        if why := driven_by(row, c.branch, c.flavour):
            return why
        if c.installed and gpu.id in site.driven:
            return None
        return too_old(gpu.id, c.latest, c.flavour)

    return Demand(f"the GPU {called(gpu)}", against)


def of_settings(site: Site) -> list[Demand]:
    """rig_driver_branch, rig_driver_flavour and rig_driver_source."""
    settings = site.settings
    return [
        *_named("branch", settings.driver_branch, lambda c: str(c.branch)),
        *_named("flavour", settings.driver_flavour, lambda c: c.flavour),
        *_named("source", settings.driver_source, lambda c: c.source),
    ]


def _named(name: str, wish: str, of: Callable[[Candidate], str]) -> list[Demand]:
    if wish == "auto":
        return []

    def against(c: Candidate) -> str | None:
        return None if of(c) == wish else f"rig_driver_{name} asks for {wish}"

    drop = WayOut(f"remove rig_driver_{name}", f"gpurig takes a {name} that fits")
    return [Demand(f'rig_driver_{name} = "{wish}"', against, drop)]


def of_vgpus(site: Site) -> list[Demand]:
    """A vGPU needs NVIDIA's driver for guests, which no public repository has."""
    if not site.vgpus:
        return []
    names = ", ".join(dict.fromkeys(called(g) for g in site.gpus if g.address in site.vgpus))
    way = WayOut(
        "install NVIDIA's vGPU guest driver of the version that the hypervisor's operator gives",
        "gpurig keeps that driver and does not update it",
    )

    def against(c: Candidate) -> str | None:
        return None if not c.driver.packages else "it is not NVIDIA's vGPU guest driver"

    return [Demand(f"{names} is a vGPU, by its subsystem id", against, way)]


def has_fabric_manager(site: Site) -> list[Demand]:
    """On a machine with NVSwitches no GPU computes without the fabric manager of its driver."""
    if not site.fabric:
        return []

    def against(c: Candidate) -> str | None:
        if c.driver.fabric_manager or not c.driver.packages:
            return None  # whoever brought a driver from elsewhere brings its fabric manager
        return f"{site.distribution.name} has no fabric manager for it"

    if site.nvswitches:
        return [Demand("an NVSwitch needs a fabric manager", against)]
    machines = ", ".join(row.machines for row in site.boards)
    return [Demand(f"{machines}: NVLink needs more than the driver", against, soft=True)]


def of_holds(site: Site, found: Sequence[Candidate]) -> list[Demand]:
    """Packages that the user has put on hold stay as they are."""
    there = site.observed.driver_installed
    held = there.get("held", []) if isinstance(there, dict) else []
    if not held:
        return []
    names = ", ".join(held)
    tool = "dnf versionlock delete" if site.distribution.packages == "dnf" else "apt-mark unhold"
    release = WayOut(f"run {tool} {' '.join(held)}", "gpurig may then move the driver")

    def against(c: Candidate) -> str | None:
        return None if c.installed else f"{names} is on hold"

    return [Demand(f"packages on hold: {names}", against, release)]


def can_be_had() -> Demand:
    """That the repository it comes from can be used."""
    way = WayOut(KEY_WAY, "you have verified the key yourself")
    return Demand("a repository with a verified key", lambda c: c.obstacle, way)


def of_build(site: Site, boots: Kernel) -> Demand:
    """That its module builds for the kernel that boots next: by the tables, and as dkms found."""

    def against(c: Candidate) -> str | None:
        for row in _broken(site, c):
            if _hits(row, boots.release) and not (row.revised and c.installed):
                return row.reason
        failures = site.observed.dkms_failures
        if c.installed and _may_boot_another(site):
            return None  # the newest kernel that has its module becomes the boot default
        for failed in failures if isinstance(failures, list) else []:
            same = (c.driver.dkms, c.branch) == (failed["module"], branch(failed["version"]))
            same = same and _is_flavour(site, c, failed["version"])
            if same and failed["kernel"] == boots.release and c.driver.build:
                said = f"dkms cannot build its module {failed['version']} for {boots.release}"
                return f"{said} ({failed['error']})"
        return None

    return Demand(f"the kernel {boots.release or 'that gpurig installs'}", against)


def _is_flavour(site: Site, c: Candidate, version: str) -> bool:
    """NVIDIA calls both flavours' modules the same: what failed is that of the installed one."""
    there = site.observed.driver_installed
    if not isinstance(there, dict) or there["version"] != version:
        return True
    return c.driver.dkms != "nvidia" or there["flavour"] == c.flavour


def _may_boot_another(site: Site) -> bool:
    kernel = site.observed.kernel
    several = isinstance(kernel, dict) and len(kernel["installed"]) > 1
    return several and site.settings.boot_kernel == "with-driver"


def _broken(site: Site, c: Candidate) -> list[BrokenRow]:
    here = (site.distribution.family, site.distribution.release, c.source, c.branch, c.flavour)
    return [
        row
        for row in tables().broken
        if (row.distribution, row.release, row.origin, row.branch, row.flavour) == here
    ]


def _hits(row: BrokenRow, release: str | None) -> bool:
    """Whether it is broken there; a kernel yet to come is the newest, and so hit."""
    first = row.kernel_from
    if release is None:
        return not row.revised  # the release's own kernel comes, and the package is made for it
    return first is None or numbers(release) >= numbers(first)
