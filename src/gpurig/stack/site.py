"""The host as the resolver sees it: what it is, what its user wishes, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from gpurig.contract.values import Unknown
from gpurig.settings.table import Settings
from gpurig.stack.gpu_ids import first_release, listed, since
from gpurig.stack.gpus import called, fabric_row, gpu, is_nvswitch, row_of
from gpurig.stack.model import Because, End, Gpu, LeftOut, WayOut
from gpurig.stack.observed import Observed
from gpurig.stack.ours import is_vgpu, means, named, others, passed_on, unmatched
from gpurig.stack.rows import AcceleratorRow, ArchitectureRow, DistributionRow, FabricRow
from gpurig.stack.tables import tables
from gpurig.stack.versions import numbers

if TYPE_CHECKING:
    from gpurig.facts.host.pci import PciDevice


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
        self._left(LeftOut(component, reason))

    def undecided(self, component: str, reason: str, *ways_out: WayOut) -> None:
        """Leave a wanted component out that cannot be judged, or refuse if the user named it."""
        if component in self.settings.components:
            self.leave_out(component, reason, *ways_out)
        self._left(LeftOut(component, reason, undecided=True))

    def is_undecided(self, component: str) -> bool:
        """Whether the settings want the component and gpurig cannot judge it."""
        return any(item.component == component and item.undecided for item in self.left_out)

    def _left(self, item: LeftOut) -> None:
        if item not in self.left_out:
            self.left_out.append(item)

    def unwanted(self, component: str) -> None:
        """Leave a component out because the user did not name it."""
        self.left_out.append(LeftOut(component, "rig_components does not name it"))


@dataclass(frozen=True)
class Site:
    """
    What the choices are made from.

    + distribution, architecture: their rows
    + gpus: by address; assumed: whether they are only assumed (rig_assume_gpu)
    + other_gpus: NVIDIA's that gpurig leaves alone, each with its reason in the draft
    + vgpus: the addresses of those that are a part of a GPU, in a virtual machine
    + nvswitches: PCI ids of its NVSwitches
    + others: what computes there and is no NVIDIA GPU
    + kept: the keys of the locks that are kept
    + default: why its settings name the framework that they do, where the user named none
    """

    settings: Settings
    observed: Observed
    distribution: DistributionRow
    architecture: ArchitectureRow
    gpus: tuple[Gpu, ...]
    assumed: bool
    other_gpus: tuple[Gpu, ...] = ()
    vgpus: frozenset[str] = frozenset()
    nvswitches: tuple[str, ...] = ()
    others: tuple[AcceleratorRow, ...] = ()
    kept: tuple[str, ...] = ()
    default: Because | None = None

    @property
    def inside(self) -> str:
        """``container`` or ``wsl``, where driver and kernel are those of the machine outside."""
        kind = self.observed.virtualization
        return (
            kind["kind"] if isinstance(kind, dict) and kind["kind"] in ("container", "wsl") else ""
        )

    @property
    def no_gpu(self) -> str:
        """Why there is no GPU to use."""
        if self.jetson:
            return "a Jetson has its own stack, JetPack, with driver, CUDA and cuDNN"
        return "gpurig leaves each NVIDIA GPU alone" if self.other_gpus else "no NVIDIA GPU"

    @property
    def jetson(self) -> bool:
        """Whether it runs the kernel of NVIDIA's Jetson boards."""
        kernel = self.observed.kernel
        return isinstance(kernel, dict) and kernel["running"].endswith("-tegra")

    @cached_property
    def kinds(self) -> tuple[Gpu, ...]:
        """One GPU of each id."""
        return tuple({gpu.id: gpu for gpu in self.gpus}.values())

    @cached_property
    def driven(self) -> frozenset[str]:
        """The ids of those that NVIDIA's module drives at present, whatever lists say of it."""
        found = self.observed.gpus if isinstance(self.observed.gpus, list) else []
        return frozenset(device["id"] for device in found if device["driver"] == "nvidia")

    @cached_property
    def boards(self) -> tuple[FabricRow, ...]:
        """What the NVLink of its GPUs needs beside the driver, where the switches are hidden."""
        of_each = [row for one in self.gpus if (row := fabric_row(one.id))]
        kind = self.observed.virtualization
        inside = isinstance(kind, dict) and kind["kind"] == "vm"
        found = {
            row.machines: row for row in of_each if not inside or of_each.count(row) >= row.board
        }
        return tuple(found[name] for name in sorted(found))

    @property
    def fabric(self) -> bool:
        """Whether its GPUs need the fabric manager or IMEX beside the driver."""
        return bool(self.nvswitches or self.boards)

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
    devices = observed.gpus if isinstance(observed.gpus, list) and not assumed else []
    mine = {one.address for one in gpus}
    kind = observed.virtualization
    guest = isinstance(kind, dict) and kind["kind"] in ("vm", "container")
    listed = observed.nvswitches if isinstance(observed.nvswitches, list) else []
    if isinstance(observed.nvswitches, Unknown) and gpus and not assumed:
        said = observed.nvswitches.reason
        draft.warn(
            "gpurig cannot tell whether the host has NVSwitches"
            f" ({said}), which need a fabric manager"
        )
    return Site(
        settings, observed, distribution, architecture, gpus, assumed,
        other_gpus=tuple(gpu(d["id"], d["address"]) for d in devices if d["address"] not in mine),
        vgpus=frozenset(d["address"] for d in devices if guest and is_vgpu(d)),
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
    if image := dict(os).get("image"):
        refuse(
            [f"{os['name']} is an image ({image}), to which gpurig cannot add packages"],
            WayOut("use an image that has NVIDIA's driver", "its maker updates the driver"),
            elsewhere,
        )
    for row in rows:
        if os["id"] in row.ids and _is_release(row, os["version"], os["codename"]):
            how = (
                f"the host runs it; it is made of {row.like}"
                if row.like
                else "by os-release or --os"
            )
            draft.chose(f"distribution {row.name}", how, row.source)
            if row.end_of_life:
                doubt = "end_of_life" in row.unverified
                draft.ends.append(End(row.name, row.end_of_life, "then no security updates", doubt))
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
    left = _left_out(settings, listed, draft)
    gpus = [gpu(one["id"], one["address"]) for one in listed if one["address"] not in left]
    gpus.sort(key=lambda found: (found.address or "", found.id))
    how = "by its PCI id"
    if settings.assume_gpu:
        how += _compared(sorted(settings.assume_gpu), sorted(g.id for g in gpus), draft)
    _explain(gpus, how, draft)
    return tuple(gpus), False


def _left_out(settings: Settings, listed: list[PciDevice], draft: Draft) -> dict[str, str]:
    """The reason of each GPU that is left alone, by address; a refusal where rig_gpus errs."""
    words = settings.gpus
    change = WayOut("change rig_gpus", "gpurig uses the GPUs that it names")
    if strange := unmatched(words, listed):
        there = ", ".join(map(named, listed)) or "no NVIDIA GPU"
        refuse([f"rig_gpus names {', '.join(strange)}", f"the host has {there}"], change)
    for device in listed:
        why = passed_on(device)
        if why and any(means(word, device) for word in words):
            bind = WayOut("unbind it from that driver", "no virtual machine can use it")
            refuse([f"rig_gpus names {named(device)}", why], change, bind)
    left = others(words, listed)
    for device in sorted(listed, key=lambda one: one["address"]):
        if why := left.get(device["address"]):
            draft.left_out.append(LeftOut(f"GPU {named(device)}", why))
    return left


def _compared(assumed: list[str], found: list[str], draft: Draft) -> str:
    """Whether an image's first boot finds what was assumed when it was baked."""
    if assumed == found:
        return ", as rig_assume_gpu says"
    draft.warn(
        f"rig_assume_gpu is ignored: it names {', '.join(assumed)}, the host has {', '.join(found)}"
    )
    return ", not what rig_assume_gpu says"


def _known_by(pci_id: str) -> str:
    """Whether NVIDIA's lists say which drivers know the id, or the family of its chip does."""
    first = first_release(pci_id)
    if first is None:
        return "NVIDIA's lists do not have the id, so its family decides which drivers know it"
    if since(pci_id, numbers(first)[0], "proprietary") != first:
        return f"NVIDIA's open module knows it from driver {first} on"
    return f"NVIDIA lists it from driver {first} on"


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
            capability = f"{row.chips}, compute capability {found.compute_capability}"
            listing = listed(found.id)
            draft.chose(
                choice, f"{how}; {capability}; {_known_by(found.id)}", (listing or row).source
            )
        else:
            draft.chose(choice, f"{how}; it is not in gpurig's tables", "tables/gpus.toml")
