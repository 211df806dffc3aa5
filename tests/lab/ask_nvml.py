"""Ask NVML all that was recorded of it, and print the answers in the form of the recordings.

The arguments are the names of pynvml's functions of one GPU. Without a driver the only answer is
that of nvmlInit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pynvml

MORE = {"nvmlDeviceGetTemperature": (0,), "nvmlDeviceGetTotalEccErrors": (0, 0)}  # arguments


def main(names: list[str]) -> dict[str, Any]:
    """The answers, by the names of functions and what was asked of them."""
    said = {
        "nvmlSystemGetDriverVersion before nvmlInit": _ask(pynvml.nvmlSystemGetDriverVersion),
        "nvmlInit": _ask(pynvml.nvmlInit),
    }
    if said["nvmlInit"]:
        return said
    del said["nvmlInit"]
    for name in ("nvmlSystemGetDriverVersion", "nvmlSystemGetNVMLVersion",
                 "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetCount"):  # fmt: skip
        said[name] = _ask(getattr(pynvml, name))
    count = said["nvmlDeviceGetCount"]
    gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    said["devices"] = [
        {name: _ask(getattr(pynvml, name), gpu, *MORE.get(name, ())) for name in names}
        for gpu in gpus
    ]
    said["errors"] = {
        "nvmlDeviceGetHandleByIndex of one too many": _ask(
            pynvml.nvmlDeviceGetHandleByIndex, count
        ),
        "nvmlDeviceGetHandleByUUID of nonsense": _ask(pynvml.nvmlDeviceGetHandleByUUID, b"GPU-0"),
        "nvmlDeviceGetHandleByPciBusId of nonsense": _ask(
            pynvml.nvmlDeviceGetHandleByPciBusId, b"00000000:FF:00.0"
        ),
        "nvmlSystemGetProcessName": _ask(pynvml.nvmlSystemGetProcessName, 1),
        "nvmlShutdown": _ask(pynvml.nvmlShutdown),
        "nvmlDeviceGetCount after nvmlShutdown": _ask(pynvml.nvmlDeviceGetCount),
    }
    return said


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or the error that it raises."""
    try:
        return _plain(function(*arguments))
    except pynvml.NVMLError as error:
        return {"NVMLError": error.value, "text": str(error)}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "_fields_"):
        return {name: _plain(getattr(value, name)) for name, *_ in value._fields_}
    return getattr(value, "value", value)


if __name__ == "__main__":
    json.dump(main(sys.argv[1:]), sys.stdout)
