"""What was asked of a training, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gpurig.contract.values import is_number
from gpurig.errors import GpurigError
from gpurig.training.inspection import Node
from gpurig.training.workload import Workload

WORK, ALONE = "work", "alone"  # where programs run: all together, and one process by itself


class Listener(Protocol):
    """Who is told how it goes; the screen is one."""

    def stage(self, text: str) -> None: ...
    def line(self, host: str, text: str, ending: bool = False) -> None: ...


@dataclass(frozen=True)
class Wish:
    """
    What was asked for.

    + engine: of `engine_names.ENGINES`; environment: the name of one of the hosts'
    + processes: on each host, or None for one a GPU; slots: on single hosts, by name
    + baseline: whether one process trains alone first
    + variables: of the environment, beside those that every command gets
    + out: the folder of this machine that takes the results, which is made; empty for none
    """

    engine: str
    environment: str
    workload: Workload
    processes: int | None = None
    baseline: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)
    out: str = ""


@dataclass(frozen=True)
class Results:
    """
    What programs left in a folder of a host.

    + names: of the first few; files, size: of all
    """

    host: str
    names: tuple[str, ...]
    files: int
    size: int


@dataclass
class Outcome:
    """
    What came of it.

    + told, alone: the JSON lines of the training and of one process on the first host
    + compared: why there is nothing to compare with, where one process alone failed
    + last: the last lines of each host that failed
    + fetched: what is in `folder` of this machine now
    + gone: what goes with the private folders of the hosts
    """

    nodes: list[Node] = field(default_factory=list)
    told: dict[str, Any] | None = None
    alone: dict[str, Any] | None = None
    errors: list[GpurigError] = field(default_factory=list)
    last: dict[str, list[str]] = field(default_factory=dict)
    connected: bool = False
    seconds: float = 0.0
    compared: str = ""
    fetched: Results | None = None
    folder: str = ""
    gone: list[Results] = field(default_factory=list)
    interrupted: bool = False

    @property
    def processes(self) -> int:
        return sum(node.processes for node in self.nodes)

    @property
    def speed_up(self) -> float | None:
        """Images a second, against those of one process on the first host."""
        speeds = [(one or {}).get("images_per_second") for one in (self.told, self.alone)]
        together, alone = (speed if is_number(speed) else 0 for speed in speeds)
        return together / alone if together and alone else None
