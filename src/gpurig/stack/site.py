"""The host as the resolver sees it: what it is, what its user wishes, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

from gpurig.contract.values import Unknown
from gpurig.settings.table import Settings
from gpurig.stack.gpus import called, gpu, is_nvswitch, row_of
from gpurig.stack.model import Because, End, Gpu, LeftOut, WayOut
from gpurig.stack.observed import Observed
from gpurig.stack.rows import AcceleratorRow, ArchitectureRow, DistributionRow
from gpurig.stack.tables import tables


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
    ends: list[End] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def chose(
        self, choice: str, reason: str, source: str, rejected: list[str] | None = None
    ) -> None:
        """Note a choice with its reason."""
        self.because.append(Because(choice, reason, source, tuple(rejected or ())))

    def warn(self, warning: str) -> None:
        """Note what the user should know and nothing can be done about."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def wants(self, component: str) -> bool:
        """Whether the component is to be set up if it can be."""
        return not self.settings.components or component in self.settings.components

    def leave_out(self, component: str, reason: str, *ways_out: WayOut) -> None:
        """Leave a component out, or refuse if the user named it."""
        if component in self.settings.components:
            with_it = " and container-toolkit" if component == "docker" else ""
            with_it = with_it if "container-toolkit" in self.settings.components else ""
            drop = WayOut(
                f"remove {component}{with_it} from rig_components", "gpurig does not set it up"
            )
            raise Refused([f"rig_components names {component}", reason], [*ways_out, drop])
        if LeftOut(component, reason) not in self.left_out:
            self.left_out.append(LeftOut(component, reason))

    def unwanted(self, component: str) -> None:
        """Leave a component out because the user did not name it."""
        self.left_out.append(LeftOut(component, "rig_components does not name it"))


@dataclass(frozen=True)
class Site:
    """
    What the choices are made from.

    + distribution, architecture: their rows
    + gpus: by address; assumed: whether they are only assumed (rig_assume_gpu)
    + nvswitches: PCI ids of its NVSwitches
    + others: what computes there and is no NVIDIA GPU
    + kept: the keys of the locks that are kept
    """

    settings: Settings
    observed: Observed
    distribution: DistributionRow
    architecture: ArchitectureRow
    gpus: tuple[Gpu, ...]
    assumed: bool
    nvswitches: tuple[str, ...] = ()
    others: tuple[AcceleratorRow, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def inside(self) -> str:
        """``container`` or ``wsl``, where driver and kernel are those of the machine outside."""
        kind = self.observed.virtualization
        return (
            kind["kind"] if isinstance(kind, dict) and kind["kind"] in ("container", "wsl") else ""
        )

    @cached_property
    def kinds(self) -> tuple[Gpu, ...]:
        """One GPU of each id."""
        return tuple({gpu.id: gpu for gpu in self.gpus}.values())

    @cached_property
    def platform(self) -> str:
        """As the tables of frameworks name it: ``linux-x86_64``, ``macos-arm64``."""
        return _platform(self.distribution, self.architecture)


def refuse(conflict: list[str], *ways_out: WayOut) -> NoReturn:
    """End the resolution with a refusal."""
    raise Refused(conflict, list(ways_out))


def site(settings: Settings, observed: Observed, draft: Draft) -> Site:
    """The site, or a refusal where it is none that gpurig supports."""
    distribution, architecture = _distribution(observed, draft), _architecture(observed)
    gpus, assumed = _gpus(settings, observed, draft)
    listed = observed.nvswitches if isinstance(observed.nvswitches, list) else []
    if isinstance(observed.nvswitches, Unknown) and gpus and not assumed:
        said = observed.nvswitches.reason
        draft.warn(
            "gpurig cannot tell whether the host has NVSwitches"
            f" ({said}), which need a fabric manager"
        )
    return Site(
        settings, observed, distribution, architecture, gpus, assumed,
        nvswitches=tuple(sorted(d["id"] for d in listed if is_nvswitch(d["id"]))),
        others=_others(observed, _platform(distribution, architecture)),
    )  # fmt: skip


def _platform(distribution: DistributionRow, architecture: ArchitectureRow) -> str:
    if distribution.family == "macos":
        return f"macos-{'arm64' if architecture.machine == 'aarch64' else architecture.machine}"
    return f"linux-{architecture.machine}"


def _others(observed: Observed, platform: str) -> tuple[AcceleratorRow, ...]:
    found = observed.accelerators if isinstance(observed.accelerators, list) else []
    ids = {device["id"] for device in found}
    return tuple(
        row for row in tables().accelerator if ids & set(row.ids) or row.platform == platform
    )


def _distribution(observed: Observed, draft: Draft) -> DistributionRow:
    rows = tables().distribution
    names = [row.name for row in rows]
    supported = f"{', '.join(names[:-1])} and {names[-1]}"
    elsewhere = WayOut(f"use one of {supported}", "reinstall the host")
    os = observed.os
    if not isinstance(os, dict):
        said = os.reason if isinstance(os, Unknown) else "the host has no os-release"
        refuse([f"gpurig cannot read its distribution ({said})"], elsewhere)
    for row in rows:
        if os["id"] in row.ids and _is_release(row, os["version"], os["codename"]):
            how = (
                f"the host runs it; it is made of {row.like}"
                if row.like
                else "by os-release or --os"
            )
            draft.chose(f"distribution {row.name}", how, row.source)
            if row.end_of_life:
                draft.ends.append(End(row.name, row.end_of_life, "then no security updates"))
            return row
    called = os["name"] or f"{os['id']} {os['version']}"
    refuse([f"gpurig does not support {called}; it supports {supported}"], elsewhere)


def _is_release(row: DistributionRow, version: str, codename: str) -> bool:
    """Whether the version is of this release; a release in the making has only its code name."""
    if not row.version:
        return True
    if version:
        return version == row.version or version.startswith(f"{row.version}.")
    return bool(codename) and codename == row.codename


def _architecture(observed: Observed) -> ArchitectureRow:
    rows = tables().architecture
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(  # as macOS and Debian call them
        str(observed.architecture), observed.architecture
    )
    for row in rows:
        if row.machine == machine:
            return row
    supported = " and ".join(row.machine for row in rows)
    said = observed.architecture
    called = f"the architecture {said}" if isinstance(said, str) else "an unknown architecture"
    way = WayOut(f"use {' or '.join(row.machine for row in rows)}", "this needs another machine")
    refuse([f"gpurig does not support {called}; it supports {supported}"], way)


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
            [f"gpurig cannot read its GPUs ({observed.gpus.reason})"],
            WayOut("set rig_assume_gpu", "gpurig assumes these GPUs; nothing computes on them"),
            WayOut(
                'set rig_driver_source = "none" and rig_accelerator = "cpu"', "gpurig uses no GPU"
            ),
        )
    gpus = [gpu(device["id"], device["address"]) for device in listed]
    gpus.sort(key=lambda found: (found.address or "", found.id))
    how = "by its PCI id"
    if settings.assume_gpu:
        how += _compared(sorted(settings.assume_gpu), sorted(g.id for g in gpus), draft)
    _explain(gpus, how, draft)
    return tuple(gpus), False


def _compared(assumed: list[str], found: list[str], draft: Draft) -> str:
    """Whether an image's first boot finds what was assumed when it was baked."""
    if assumed == found:
        return ", as rig_assume_gpu says"
    draft.warn(
        f"rig_assume_gpu is ignored: it names {', '.join(assumed)}, the host has {', '.join(found)}"
    )
    return ", not what rig_assume_gpu says"


def _needs_gpus(settings: Settings, draft: Draft) -> bool:
    driver = draft.wants("driver") and settings.driver_source != "none"
    computing = draft.wants("environments") and settings.accelerator != "cpu"
    return driver or computing or "container-toolkit" in settings.components


def _explain(gpus: list[Gpu], how: str, draft: Draft) -> None:
    for found in sorted({g.id: g for g in gpus}.values(), key=lambda g: g.id):
        count = sum(other.id == found.id for other in gpus)
        choice = f"GPU {called(found)}" + (f" x {count}" if count > 1 else "")
        row = row_of(found.id)
        if row:
            capability = f"{found.name}, compute capability {found.compute_capability}"
            draft.chose(choice, f"{how}; {capability}", row.source)
        else:
            draft.chose(choice, f"{how}; it is not in gpurig's tables", "tables/gpus.toml")
