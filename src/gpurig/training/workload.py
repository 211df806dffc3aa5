"""What is trained: MNIST, or somebody's own program; and whether its JSON line is a success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from gpurig.contract.values import is_number
from gpurig.errors import GpurigError, HostError, InputError
from gpurig.training.inspection import Node

MNIST = "mnist"
DATA = "/var/lib/gpurig/datasets"


@dataclass(frozen=True)
class Workload:
    """
    A program and its arguments.

    + program: the name of one of `files`, or None for that of MNIST that fits the environment
    + files: what is copied beside one another into a private folder of the host
    """

    program: str | None
    files: Mapping[str, str]
    arguments: Sequence[str] = ()

    @classmethod
    def of(cls, name: str, arguments: Sequence[str]) -> Workload:
        """``mnist``, or the path of a program; InputError where that cannot be read."""
        if name == MNIST:
            shipped = [file.name for file in files("gpurig.workloads").iterdir()]
            ours = [one for one in shipped if one.endswith(".py") and one != "__init__.py"]
            return cls(None, {one: source("gpurig.workloads", one) for one in ours}, arguments)
        path = Path(name)
        try:
            return cls(path.name, {path.name: path.read_text(encoding="utf-8")}, arguments)
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise InputError(
                "workload-wrong", f"{name} cannot be read ({said})", "--workload",
                f"name a Python program, or {MNIST}",
            ) from error  # fmt: skip

    def refuse_unfit(self, engine: str, node: Node) -> None:
        """InputError where MNIST is not written for this engine and what the environment has."""
        if self.program is None and engine == "horovod" and "tensorflow" not in node.versions:
            raise InputError(
                "training-missing",
                "its Horovod runs on PyTorch; the MNIST workload needs Horovod on TensorFlow",
                node.name,
                'name "horovod" in rig_frameworks, or train your own program',
                host=node.name,
            )

    def words(self, engine: str, node: Node, alone: bool = False) -> list[str]:
        """
        The program and its arguments.

        + alone: one process without the engine
        """
        if self.program is not None:
            return [self.program, *self.arguments]
        options = ["--data-dir", DATA, "--out", "out"]
        if mirror := node.link.spec.settings.data_mirror:
            options += ["--data-mirror", mirror]
        if engine == "torchrun":
            return ["mnist_pytorch.py", *options, *self.arguments]
        strategy = "none" if alone else engine
        return ["mnist_keras.py", "--strategy", strategy, *options, *self.arguments]

    def judged(
        self, told: Mapping[str, Any] | None, processes: int, host: str
    ) -> list[GpurigError]:
        """What is wrong with a result, as sentences; nothing where it is a success."""
        if told is None:
            what = "the workload printed no JSON line"
            return [HostError("training-silent", what, host, host=host)]
        wrong = []
        there = ranks(told)
        if told.get("ranks", there) != there:
            wrong.append('"ranks" is not a list of objects with rank, host and weights_sha256')
        wrong += _differing(there)
        size = told.get("world_size")  # a process may have several replicas
        count = max(processes, size if isinstance(size, int) else 0)
        if self.program is None and len(there) != count:
            wrong.append(f"{len(there)} ranks reported their weights instead of {count}")
        if told.get("passed") is not True:
            below = _below(told.get("accuracy"), told.get("threshold"))
            wrong += below or ([] if wrong else ["the workload reports that it did not pass"])
        return [HostError("training-wrong", what, host, host=host) for what in wrong]


def _differing(ranks: Sequence[Mapping[str, Any]]) -> list[str]:
    """That the ranks have different weights, where they do."""
    if len({rank["weights_sha256"] for rank in ranks}) < 2:
        return []
    each = ", ".join(f"{r['rank']} on {r['host']} {r['weights_sha256'][:8]}" for r in ranks)
    return [f"the ranks have different weights ({each})"]


def _below(accuracy: Any, threshold: Any) -> list[str]:
    """That the accuracy is not reached, where it is told and is not."""
    if is_number(accuracy) and is_number(threshold) and accuracy < threshold:
        return [f"accuracy {accuracy:.4f} is below {threshold}"]
    return []


def ranks(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each rank told of itself, as far as the program kept to the contract."""
    found = told.get("ranks")
    return [
        rank
        for rank in (found if isinstance(found, list) else [])
        if isinstance(rank, dict)
        and rank.keys() >= {"rank", "host"}
        and isinstance(rank.get("weights_sha256"), str)
    ]


def source(package: str, name: str) -> str:
    """The text of a file that ships with gpurig."""
    return (files(package) / name).read_text(encoding="utf-8")
