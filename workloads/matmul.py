"""
A matrix product on each device that TensorFlow, PyTorch or JAX sees, compared with NumPy's.

Stands alone: it needs one of them and nothing of gpurig. The last line of standard output is one
JSON object. Exit 0: equal within the tolerance on every device; 1: not; 2: bad arguments.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

# Of a product against a float64 one, relative to the largest entry. Source: N. J. Higham, Accuracy
# and Stability of Numerical Algorithms, 2nd ed., sections 2.8 and 3.1: a sum of n rounded products
# errs by about sqrt(n) * 2**-24 in float32, 2e-6 at n = 1024. TF32, which tensor cores may use for
# float32, and float16 keep 10 bits of each factor, 2**-11 = 5e-4, and sum up in float32; a result
# in float16 is rounded once more.
TOLERANCE = {("CPU", "float32"): 1e-5, ("GPU", "float32"): 2e-3, ("GPU", "float16"): 4e-3}

Put = Callable[[Any], Any]  # a NumPy array -> the framework's array on a device
Multiply = Callable[[Any, Any], Any]  # two of them -> a NumPy array, once it is computed


def tensorflow() -> Iterator[tuple[str, str, Put, Multiply]]:
    """Name and kind of each device, and how to compute on it."""
    import tensorflow as tf

    for device in tf.config.list_physical_devices():
        place = device.name.replace("physical_device:", "")

        def put(array: Any, place: str = place) -> Any:
            with tf.device(place):
                return tf.constant(array)

        def multiply(a: Any, b: Any, place: str = place) -> Any:
            with tf.device(place):
                return tf.linalg.matmul(a, b).numpy()

        if device.device_type in ("CPU", "GPU"):
            yield device.name, device.device_type, put, multiply


def torch() -> Iterator[tuple[str, str, Put, Multiply]]:
    """Name and kind of each device, and how to compute on it."""
    import torch as pytorch

    names = ["cpu", *(f"cuda:{number}" for number in range(pytorch.cuda.device_count()))]
    for name in names:

        def put(array: Any, name: str = name) -> Any:
            return pytorch.from_numpy(array).to(name)

        yield name, "CPU" if name == "cpu" else "GPU", put, lambda a, b: (a @ b).cpu().numpy()


def jax() -> Iterator[tuple[str, str, Put, Multiply]]:
    """Name and kind of each device, and how to compute on it."""
    import jax as it
    import numpy as np

    devices = {str(device): device for kind in ("cpu", it.default_backend())
               for device in it.devices(kind)}  # fmt: skip
    for name, device in devices.items():

        def put(array: Any, device: Any = device) -> Any:
            return it.device_put(array, device)

        kind = "CPU" if device.platform == "cpu" else "GPU"
        yield name, kind, put, lambda a, b: np.asarray(a @ b)


FRAMEWORKS = {"tensorflow": tensorflow, "torch": torch, "jax": jax}


def run(framework: str, size: int, seed: int) -> dict[str, Any]:
    """Every visible device; the result as JSON data."""
    from importlib.metadata import packages_distributions, version

    import numpy as np

    random = np.random.default_rng(seed)
    a, b = (random.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    wanted = a.astype("float64") @ b.astype("float64")
    devices: list[dict[str, Any]] = [
        {"name": name, "kind": kind, "dtype": dtype, "tolerance": tolerance}
        | measure(put, multiply, a.astype(dtype), b.astype(dtype), wanted)
        for name, kind, put, multiply in FRAMEWORKS[framework]()
        for (of, dtype), tolerance in TOLERANCE.items()
        if of == kind
    ]
    return {
        "schema": 1,
        "workload": "matmul",
        "passed": all(d["max_relative_error"] <= d["tolerance"] for d in devices) and bool(devices),
        "framework": framework,
        "size": size,
        "devices": devices,
        "versions": {
            framework: version(packages_distributions()[framework][0]),
            "numpy": np.__version__,
        },
    }


def measure(put: Put, multiply: Multiply, a: Any, b: Any, wanted: Any) -> dict[str, Any]:
    """One device: its largest relative error and its speed, after a first product to warm up."""
    import numpy as np

    left, right = put(a), put(b)
    product = multiply(left, right)
    began = time.perf_counter()
    multiply(left, right)
    seconds = time.perf_counter() - began
    return {
        "max_relative_error": float(np.max(np.abs(product - wanted)) / np.max(np.abs(wanted))),
        "seconds": round(seconds, 5),
        "gflops": round(2 * len(a) ** 3 / seconds / 1e9, 1),
    }


def size(text: str) -> int:
    """Rows and columns: at least two, and not more than a small machine's memory takes."""
    value = int(text)
    if not 2 <= value <= 16384:
        raise argparse.ArgumentTypeError(f"{text} is not between 2 and 16384")
    return value


def seed(text: str) -> int:
    """What NumPy takes as a seed."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run, print the JSON line, answer the exit code."""
    parser = argparse.ArgumentParser(description="Multiply matrices on each device; print JSON.")
    parser.add_argument("--size", type=size, default=1024, help="rows and columns; default: 1024")
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument(
        "--framework", choices=FRAMEWORKS, help="default: the first one that is installed"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    installed = [name for name in FRAMEWORKS if importlib.util.find_spec(name)]
    wanted = options.framework or (installed[0] if installed else " or ".join(FRAMEWORKS))
    if wanted not in installed:
        print(f"matmul: No module named {wanted}", file=sys.stderr)
        return 2
    try:
        result = run(wanted, options.size, options.seed)
    except ImportError as error:
        print(f"matmul: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
