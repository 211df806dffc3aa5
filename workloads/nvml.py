"""Use and memory of the GPUs, as the driver's NVML tells them, while something runs."""

from __future__ import annotations

import os
import threading
from typing import Any

EVERY_SECONDS = 0.2


class Gpus:
    """
    Samples of the GPUs that this process may use, from entering to leaving.

    Without an NVIDIA driver, or without nvidia-ml-py, there are none.
    """

    def __init__(self) -> None:
        self._samples: dict[int, list[tuple[int, int]]] = {}
        self._names: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Gpus:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # no pynvml, so not even its error class; or no driver
            return self
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def seen(self) -> list[dict[str, Any]]:
        """``[{"index", "name", "utilization_percent": mean, "memory_used_bytes": peak}]``"""
        return [
            {
                "index": index,
                "name": self._names[index],
                "utilization_percent": round(sum(use for use, _ in told) / len(told), 1),
                "memory_used_bytes": max(memory for _, memory in told),
            }
            for index, told in sorted(self._samples.items())
            if told
        ]

    def _sample(self) -> None:
        import pynvml

        handles = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            if visible(index, text(pynvml.nvmlDeviceGetUUID(handle))):
                handles[index] = handle
                self._names[index] = text(pynvml.nvmlDeviceGetName(handle))
                self._samples[index] = []
        while not self._stop.wait(EVERY_SECONDS):
            for index, handle in handles.items():
                try:
                    use = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
                    memory = pynvml.nvmlDeviceGetMemoryInfo(handle).used
                except pynvml.NVMLError:  # MIG tells no use; a GPU can be lost
                    continue
                self._samples[index].append((int(use), int(memory)))


def visible(index: int, uuid: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES, numbers or beginnings of UUIDs, leaves a GPU to us."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return True
    words = [word.strip() for word in named.split(",")]
    return str(index) in words or any(word and uuid.startswith(word) for word in words)


def text(told: str | bytes) -> str:
    """Older versions of NVML's bindings answer bytes."""
    return told.decode() if isinstance(told, bytes) else told


def capability(index: int = 0) -> tuple[int, int] | None:
    """The compute capability of a GPU, as (major, minor); None where NVML cannot tell."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    except Exception:  # no pynvml, so not even its error class; or no driver
        return None
    return int(major), int(minor)
