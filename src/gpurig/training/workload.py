"""What is trained: MNIST, or somebody's own program; and whether its JSON line is a success."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from gpurig.contract.values import is_number
from gpurig.errors import GpurigError, HostError, InputError
from gpurig.training.inspection import Node
from gpurig.training.project import project

MNIST = "mnist"
DATA = "/var/lib/gpurig/datasets"


class File(Protocol):
    """A path, or a file that ships with gpurig."""

    def read_bytes(self) -> bytes: ...


@dataclass(frozen=True)
class Workload:
    """
    A program and its arguments.

    + program: the name of one of `files`, or None for that of MNIST that fits the environment
    + files: what is sent, by its path in the folder in which the program runs
    + told: what is sent, in words
    """

    program: str | None
    files: Mapping[str, File]
    arguments: Sequence[str] = ()
    told: str = ""

    @classmethod
    def of(cls, name: str, arguments: Sequence[str], workdir: str | None = None) -> Workload:
        """``mnist``, or the path of a program; InputError where that cannot be read."""
        if name == MNIST:
            shipped = files("gpurig.workloads").iterdir()
            ours = {one.name: one for one in shipped if one.name.endswith(".py")}
            ours.pop("__init__.py", None)
            if workdir:
                what, do = "the MNIST workload has no folder of yours", "leave the option out"
                raise InputError("training-wish", what, "--workdir", do)
            return cls(None, ours, arguments)
        path = Path(name)
        try:
            path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise InputError(
                "workload-wrong", f"{name} cannot be read ({said})", "--workload",
                f"name a Python program, or {MNIST}",
            ) from error  # fmt: skip
        found = project(path, Path(workdir) if workdir else None)
        own = str(path.resolve().relative_to(found.folder))
        return cls(own, dict(found.files), arguments, found.told)

    def words(self, engine: str, node: Node) -> list[str]:
        """The program and its arguments."""
        if self.program is not None:
            return [self.program, *self.arguments]
        options = ["--data-dir", DATA, "--out", "out"]
        if mirror := node.link.spec.settings.data_mirror:
            options += ["--data-mirror", mirror]
        if engine == "torchrun":
            return ["mnist_pytorch.py", *options, *self.arguments]
        if engine == "horovod" and "tensorflow" not in node.versions:  # its Horovod runs on PyTorch
            return ["mnist_pytorch.py", "--strategy", engine, *options, *self.arguments]
        return ["mnist_keras.py", "--strategy", engine, *options, *self.arguments]

    def judged(
        self, told: Mapping[str, Any] | None, processes: int, host: str
    ) -> list[GpurigError]:
        """
        What is wrong where every rank ended with 0, as sentences; nothing where it is a success.

        A program of one's own need not print a line; MNIST's is its result.
        """
        if told is None:
            what = "the workload printed no JSON line"
            silent = HostError("training-silent", what, host, host=host)
            return [silent] if self.program is None else []
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


def result_of(line: str) -> dict[str, Any] | None:
    """What a line of rank 0's standard output tells, if it is an object with a `passed`."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line, parse_constant=lambda _: None)  # NaN is no JSON
    except (ValueError, RecursionError):
        return None
    told = isinstance(found, dict) and isinstance(found.get("passed"), bool)
    return found if told else None


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
