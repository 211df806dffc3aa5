"""The host as the resolver sees it: what it is, what its user wishes, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from gpurig.observed import Observed
from gpurig.settings import Settings
from gpurig.stack.gpus import called, gpu
from gpurig.stack.model import Because, Gpu, LeftOut, WayOut
from gpurig.stack.tables import ArchitectureRow, DistributionRow, tables
from gpurig.values import Unknown


class Refused(Exception):
    """Carries a refusal to `resolve`; nothing else sees it."""

    def __init__(self, conflict: list[str], ways_out: list[WayOut]) -> None:
        super().__init__(*conflict)
        self.conflict, self.ways_out = conflict, ways_out


@dataclass
class Draft:
    """What was decided so far, and why."""

    settings: Settings
    because: list[Because] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def chose(
        self, choice: str, reason: str, source: str, rejected: list[str] | None = None
    ) -> None:
        """Note a choice with its reason."""
        self.because.append(Because(choice, reason, source, tuple(rejected or ())))

    def warn(self, warning: str) -> None:
        """Note what the user should know and nothing can be done about."""
        self.warnings.append(warning)

    def wants(self, component: str) -> bool:
        """Whether the component is to be set up if it can be."""
        return not self.settings.components or component in self.settings.components

    def leave_out(self, component: str, reason: str, *ways_out: WayOut) -> None:
        """Leave a component out, or refuse if the user named it."""
        if component in self.settings.components:
            drop = WayOut(f"leave {component} out of rig_components", "it is not set up")
            raise Refused([f"rig_components names {component}", reason], [*ways_out, drop])
        self.left_out.append(LeftOut(component, reason))

    def unwanted(self, component: str) -> None:
        """Leave a component out because the user did not name it."""
        self.left_out.append(LeftOut(component, "it is not among rig_components"))


@dataclass(frozen=True)
class Site:
    """
    What the choices are made from.

    + distribution, architecture: their rows
    + gpus: by address; assumed: whether they are only assumed (rig_assume_gpu)
    """

    settings: Settings
    observed: Observed
    distribution: DistributionRow
    architecture: ArchitectureRow
    gpus: tuple[Gpu, ...]
    assumed: bool

    @property
    def inside(self) -> str:
        """``container`` or ``wsl``, where driver and kernel are those of the machine outside."""
        kind = self.observed.virtualization
        return (
            kind["kind"] if isinstance(kind, dict) and kind["kind"] in ("container", "wsl") else ""
        )


def refuse(conflict: list[str], *ways_out: WayOut) -> NoReturn:
    """End the resolution with a refusal."""
    raise Refused(conflict, list(ways_out))


def site(settings: Settings, observed: Observed, draft: Draft) -> Site:
    """The site, or a refusal where it is none that gpurig supports."""
    distribution, architecture = _distribution(observed, draft), _architecture(observed)
    gpus, assumed = _gpus(settings, observed, draft)
    return Site(settings, observed, distribution, architecture, gpus, assumed)


def _distribution(observed: Observed, draft: Draft) -> DistributionRow:
    rows = tables().distributions
    supported = " and ".join(row.name for row in rows)
    elsewhere = WayOut(f"use {' or '.join(row.name for row in rows)}", "the host is installed anew")
    os = observed.os
    if not isinstance(os, dict):
        said = os.reason if isinstance(os, Unknown) else "there is no os-release"
        refuse([f"its distribution is not known ({said})"], elsewhere)
    for row in rows:
        if (row.id, row.release) == (os["id"], os["version"]):
            draft.chose(f"distribution {row.name}", "the host runs it", row.source)
            return row
    called = os["name"] or f"{os['id']} {os['version']}"
    refuse([f"{called} is not supported; supported are {supported}"], elsewhere)


def _architecture(observed: Observed) -> ArchitectureRow:
    rows = tables().architectures
    for row in rows:
        if row.machine == observed.architecture:
            return row
    supported = " and ".join(row.machine for row in rows)
    said = observed.architecture
    called = f"the architecture {said}" if isinstance(said, str) else "an unknown architecture"
    way = WayOut(f"use {' or '.join(row.machine for row in rows)}", "it is another machine")
    refuse([f"{called} is not supported; supported are {supported}"], way)


def _gpus(settings: Settings, observed: Observed, draft: Draft) -> tuple[tuple[Gpu, ...], bool]:
    listed = observed.gpus if isinstance(observed.gpus, list) else []
    kind = observed.virtualization
    contained = isinstance(kind, dict) and kind["kind"] == "container"
    if settings.assume_gpu and (contained or not listed):
        gpus = [gpu(pci_id) for pci_id in sorted(settings.assume_gpu)]
        _explain(gpus, "assumed by rig_assume_gpu", draft)
        return tuple(gpus), True
    if isinstance(observed.gpus, Unknown) and _needs_gpus(settings, draft):
        refuse(
            [f"its GPUs could not be read ({observed.gpus.reason})"],
            WayOut("name them in rig_assume_gpu", "they are assumed, and nothing is computed"),
            WayOut('rig_driver_source = "none" and rig_accelerator = "cpu"', "no GPU is used"),
        )
    if settings.assume_gpu:
        draft.warn("rig_assume_gpu is passed over: the host lists GPUs of its own")
    gpus = [gpu(device["id"], device["address"]) for device in listed]
    gpus.sort(key=lambda found: (found.address or "", found.id))
    _explain(gpus, "listed on PCI", draft)
    return tuple(gpus), False


def _needs_gpus(settings: Settings, draft: Draft) -> bool:
    driver = draft.wants("driver") and settings.driver_source != "none"
    computing = draft.wants("environments") and settings.accelerator != "cpu"
    return driver or computing or "container-toolkit" in settings.components


def _explain(gpus: list[Gpu], how: str, draft: Draft) -> None:
    rows = {row.chips: row for row in tables().gpus}
    for found in sorted({(g.id, g.name): g for g in gpus}.values(), key=lambda g: g.id):
        count = sum(other.id == found.id for other in gpus)
        choice = f"GPU {called(found)}" + (f" x {count}" if count > 1 else "")
        if found.name:
            capability = f"{found.name}, compute capability {found.compute_capability}"
            draft.chose(choice, f"{how}; {capability}", rows[found.name].source)
        else:
            draft.chose(choice, f"{how}; its id is in no row", "tables/gpus.toml")
