"""What training programs measured on a host: accuracy, speed, learning curve, other pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpurig.contract.values import is_number
from gpurig.engine.result import Proof, ProofVerdict
from gpurig.report.software import label
from gpurig.report.units import size

# The data of gpurig's own workloads, by what they answer as their source (workloads/mnist.py).
_DATA = {
    "tensorflow_datasets": "MNIST",
    "original archives": "MNIST",
    "fallback: UCI digits": "UCI digits",
}
_SUBSTITUTE = "fallback: "
_TOLD = {"accuracy", "images_per_second", "plots"}  # by which a training is known
_CURVE = re.compile(r"training|curve", re.IGNORECASE)
_PNG = re.compile(r"iVBOR[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Training:
    """
    One training. What a program did not tell is None or empty; nothing in it is judged again.

    + name: its framework or program; data: what it learnt from
    + substitute: whether those data stand in for MNIST, which could not be had
    + accuracy, threshold: parts of one, on images that it did not learn from
    + reached: seconds to the threshold
    + speed: images a second, of the training alone
    + gpus: of NVML, by product: how many, their mean use and the most memory that one took
    + curve, pictures: the picture of the learning curve, and the others: base64 PNG by their names
    """

    name: str
    data: str
    substitute: bool
    device: str
    passed: bool
    accuracy: float | None
    threshold: float | None
    reached: float | None
    speed: float | None
    gpus: str
    curve: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)


def trainings(proofs: Iterable[Proof]) -> list[Training]:
    """One for each proof that trained, as its program tells."""
    return [_training(proof) for proof in proofs if _TOLD & proof.detail.keys()]


def about(proof: Proof) -> str:
    """The environment or the program that a proof is about, empty where it is about the host."""
    name = proof.title.partition(": ")[0]
    return name if proof.id.endswith(f".{name}") else ""


def _training(proof: Proof) -> Training:
    told = proof.detail
    seconds, source = _table(told.get("seconds")), str(_table(told.get("data")).get("source", ""))
    pictures = _pictures(told.get("plots"))
    curve = next((name for name in pictures if _CURVE.search(name)), None)
    return Training(
        name=label(about(proof)) or proof.id,
        data=_DATA.get(source, source),
        substitute=source.startswith(_SUBSTITUTE),
        device=str(told.get("device", "")),
        passed=proof.verdict is ProofVerdict.PASSED,
        accuracy=_number(told.get("accuracy")),
        threshold=_number(told.get("threshold")),
        reached=_number(seconds.get("to_threshold")),
        speed=_number(told.get("images_per_second")),
        gpus=_gpus(told.get("gpus")),
        curve={curve: pictures.pop(curve)} if curve else {},
        pictures=pictures,
    )


def _pictures(given: Any) -> dict[str, str]:
    """Those that are base64 PNG."""
    return {
        str(name): data
        for name, data in _table(given).items()
        if isinstance(data, str) and _PNG.fullmatch(data)
    }


def _gpus(given: Any) -> str:
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for gpu in map(_table, given if isinstance(given, list) else []):
        by_name.setdefault(str(gpu.get("name", "")), []).append(gpu)
    return "; ".join(_used(name, gpus) for name, gpus in by_name.items() if name)


def _used(name: str, gpus: list[Mapping[str, Any]]) -> str:
    use = [gpu["utilization_percent"] for gpu in gpus if is_number(gpu.get("utilization_percent"))]
    took = [gpu["memory_used_bytes"] for gpu in gpus if is_number(gpu.get("memory_used_bytes"))]
    told = [f"{sum(use) / len(use):.0f} %"] if use else []
    told += [size(max(took))] if took else []
    many = f"{len(gpus)} \N{MULTIPLICATION SIGN} " if len(gpus) > 1 else ""
    return f"{many}{name} {', '.join(told)}".rstrip()


def _table(value: Any) -> Mapping[str, Any]:
    """A program of the user's may have put anything there."""
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return value if is_number(value) else None
