"""
A matrix product on each device that TensorFlow sees, compared with NumPy's.

Stands alone: it needs tensorflow and nothing of gpurig. The last line of standard output is one
JSON object. Exit 0: equal within the tolerance on every device; 1: not; 2: bad arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

# Of a float32 product against a float64 one, relative to the largest entry. A sum of n rounded
# products errs by about sqrt(n) * 2**-24: 2e-6 at n = 1024. TF32 on tensor cores keeps 10 bits of
# each factor, 2**-11 = 5e-4, and is what TensorFlow uses on GPUs by default.
TOLERANCE = {"CPU": 1e-5, "GPU": 2e-3}


def measure(device: Any, a: Any, b: Any, wanted: Any) -> dict[str, Any]:
    """One device: its largest relative error and its speed, after a first product to warm up."""
    import numpy as np
    import tensorflow as tf

    with tf.device(device.name.replace("physical_device:", "")):
        left, right = tf.constant(a), tf.constant(b)
        product = tf.linalg.matmul(left, right).numpy()
        began = time.perf_counter()
        tf.linalg.matmul(left, right).numpy()
        seconds = time.perf_counter() - began
    error = float(np.max(np.abs(product - wanted)) / np.max(np.abs(wanted)))
    return {
        "name": device.name,
        "kind": device.device_type,
        "max_relative_error": error,
        "seconds": round(seconds, 5),
        "gflops": round(2 * len(a) ** 3 / seconds / 1e9, 1),
        "tolerance": TOLERANCE.get(device.device_type, TOLERANCE["GPU"]),
    }


def run(size: int, seed: int) -> dict[str, Any]:
    """Every visible device; the result as JSON data."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(seed)
    a, b = (random.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    wanted = a.astype("float64") @ b.astype("float64")
    devices = [
        measure(device, a, b, wanted)
        for device in tf.config.list_physical_devices()
        if device.device_type in TOLERANCE
    ]
    return {
        "schema": 1,
        "workload": "matmul",
        "passed": all(d["max_relative_error"] <= d["tolerance"] for d in devices) and bool(devices),
        "size": size,
        "devices": devices,
        "versions": {"tensorflow": tf.__version__, "numpy": np.__version__},
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
    parser = argparse.ArgumentParser(description="A matrix product on each device; JSON on stdout.")
    parser.add_argument("--size", type=size, default=1024, help="rows and columns; default: 1024")
    parser.add_argument("--seed", type=seed, default=1)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        result = run(options.size, options.seed)
    except ImportError as error:
        print(f"matmul: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
