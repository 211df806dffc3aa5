"""What is to be done about a host's CDI specs, from what they say and what the driver is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gpurig.facts.container_toolkit.cdi import DriverOnHost, Spec
from gpurig.operations.shared.words import counted, those

KIND = "nvidia.com/gpu"
KEPT = "/etc/cdi/nvidia.yaml"  # survives a reboot
REFRESHED = "/var/run/cdi/nvidia.yaml"  # written anew at each boot by nvidia-cdi-refresh.service
USUAL = (KEPT, REFRESHED)


def faults(spec: Spec, driver: DriverOnHost, gpus: int | None = None) -> list[str]:
    """
    Why containers would not get this host's GPUs by this spec; empty when they would.

    + gpus: how many GPUs the driver answers for; ``None`` when there was no reason to ask
    """
    if not spec["version"] or not spec["kind"]:
        return ["it cannot be read"]
    if spec["cut"] and spec["path"] in USUAL:
        return ["it was cut off"]
    found = [f"it names {path}, which does not exist" for path in spec["missing"][:1]]
    unnamed = sorted(set(driver["libraries"]) - set(spec["libraries"]))
    if unnamed:
        found.append(f"it does not name the installed {unnamed[0]}")
    if uncontrolled := sorted(set(driver["control"]) - set(spec["control"])):
        found.append(f"it does not name {uncontrolled[0]}, without which programs find no GPU")
    if gpus and gpus != len(spec["nodes"]):
        found.append(f"it names {counted(len(spec['nodes']), 'GPU')}, but the host has {gpus}")
    if "all" not in spec["devices"]:
        found.append("it lacks the device all")
    return found


def kept(specs: Sequence[Spec], right: Sequence[Spec], refreshes: bool) -> str:
    """
    The path of the one spec that stays or is made.

    Where nvidia-cdi-refresh.service works, its file would be back at the next boot beside any
    other; where it does not, a file under /run would be gone then.
    """
    in_etc = [spec["path"] for spec in specs if spec["path"].startswith("/etc/")]
    in_run = [spec["path"] for spec in specs if not spec["path"].startswith("/etc/")]
    if refreshes and (in_run or not in_etc):
        return REFRESHED
    lasting = [spec["path"] for spec in right if spec["path"] in in_etc]
    return next(iter([*lasting, *in_etc, KEPT]))


@dataclass(frozen=True)
class Plan:
    """
    Which spec of the GPUs stays or is made, and what that takes.

    + specs: those of the GPUs; wrong: the `faults` of each, by its path
    + refreshes: as `kept` takes it
    """

    specs: Sequence[Spec]
    wrong: Mapping[str, list[str]]
    refreshes: bool

    @cached_property
    def _right(self) -> list[Spec]:
        return [spec for spec in self.specs if not self.wrong[spec["path"]]]

    @cached_property
    def path(self) -> str:
        """Of the spec that stays or is made."""
        return kept(self.specs, self._right, self.refreshes)

    @property
    def fresh(self) -> bool:
        """Whether that one is right as it is."""
        return any(spec["path"] == self.path for spec in self._right)

    @property
    def others(self) -> list[str]:
        """The paths of those that go."""
        return [spec["path"] for spec in self.specs if spec["path"] != self.path]

    @property
    def closed(self) -> list[str]:
        """Who may not read the one that stays, or may write it."""
        return [told for s in self.specs if s["path"] == self.path for told in s["closed"]]

    @property
    def nothing(self) -> bool:
        return self.fresh and not self.others and not self.closed

    @property
    def actual(self) -> str:
        """What is not as it should be, in words."""
        told = [f"{path}: {found[0]}" for path, found in self.wrong.items() if found]
        told += [f"more than one spec: {', '.join(self.wrong)}"] * (len(self.specs) > 1)
        told += self.closed
        passing = (spec["path"] for spec in self._right if self.path == KEPT != spec["path"])
        told += [f"{path} does not survive a reboot" for path in passing]
        return "; ".join(told) or "no CDI spec of this host's GPUs"

    @property
    def will(self) -> str:
        """What is done, in words."""
        steps = {
            f"write {self.path}": not self.fresh,
            "let every user read it and only root write it": self.closed,
        }
        return " and ".join([*those(steps), *(f"move {other} aside" for other in self.others)])


def of_gpus(specs: Sequence[Spec]) -> list[Spec]:
    """
    The specs of NVIDIA's GPUs, but for those that programs crash on, which `readable` moves.

    A broken file in the usual place is one of ours that was cut off; others are not ours.
    """
    readable = (spec for spec in specs if not spec["deadly"])
    return [
        spec
        for spec in readable
        if spec["kind"] == KIND or (not spec["kind"] and spec["path"] in USUAL)
    ]


def foreign(specs: Sequence[Spec]) -> list[str]:
    """The paths of files that cannot be read and are not the toolkit's, by their names."""
    return [s["path"] for s in specs if not (s["version"] and s["kind"]) and s["path"] not in USUAL]


def in_doubt(specs: Sequence[Spec], driver: DriverOnHost) -> bool:
    """
    Whether the driver is asked how many GPUs there are.

    Device nodes are cheap to look at, but outlive a GPU that is gone.
    """
    return not specs or any(set(spec["nodes"]) != set(driver["nodes"]) for spec in specs)
