"""How fast this host trains: what its programs measured, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpurig.contract.values import is_number
from gpurig.engine.result import Proof

HEADS = ["proof", "program", "on", "accuracy", "to the threshold", "training", "speed", "GPUs"]


def rows(proofs: Iterable[Proof]) -> list[list[str]]:
    """
    One row for each proof that trained, in words; nothing in it is judged.

    Times in seconds, speed in images a second over the training alone, of GPUs the mean use and
    the highest memory during it, as NVML has them.
    """
    return [_row(proof) for proof in proofs if "images_per_second" in proof.detail]


def _row(proof: Proof) -> list[str]:
    told = proof.detail
    seconds, gpus = _table(told.get("seconds")), told.get("gpus")
    reached = seconds.get("to_threshold")
    data = _table(told.get("data")).get("source")
    return [
        proof.id,
        f"{told.get('workload', '')} ({data})" if data else str(told.get("workload", "")),
        str(told.get("device", "")),
        _number(told.get("accuracy"), ".4f"),
        f"{told.get('threshold')} after {reached:.1f} s" if is_number(reached) else "",
        _number(seconds.get("train"), ".1f", " s"),
        _number(told["images_per_second"], ",.0f", " images/s"),
        "; ".join(_gpu(_table(gpu)) for gpu in gpus) if isinstance(gpus, list) else "",
    ]


def _gpu(gpu: Mapping[str, Any]) -> str:
    use = _number(gpu.get("utilization_percent"), ".0f", " %")
    memory = gpu.get("memory_used_bytes")
    room = f", {memory / 1e9:.1f} GB" if is_number(memory) else ""
    return f"{gpu.get('name', '')} {use}{room}"


def _table(value: Any) -> Mapping[str, Any]:
    """A program of the user's may have put anything there."""
    return value if isinstance(value, dict) else {}


def _number(value: Any, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if is_number(value) else ""
