"""JAX."""

from __future__ import annotations

import pkgutil
from typing import Any


def look(told: dict[str, Any], base: str) -> str:
    """Whether it has CUDA, its GPUs, and a product and a convolution on each device."""
    import jax
    import jax.numpy as np

    told["cuda"] = any(module.name.startswith("jax_cuda") for module in pkgutil.iter_modules())
    found = [device for device in jax.devices() if device.platform != "cpu"]
    for device in found:
        numbers = str(getattr(device, "compute_capability", "")).split(".")
        capability = [int(number) for number in numbers if number]  # a TPU has none
        told["gpus"].append({"name": str(device.device_kind), "capability": capability})
    for device in jax.devices("cpu") + found:
        with jax.default_device(device):
            image = jax.lax.conv(np.ones((1, 1, 8, 8)), np.ones((1, 1, 3, 3)), (1, 1), "VALID")
            total = (np.ones((64, 64)) @ np.ones((64, 64))).sum() + image.sum()
        told["computed"][str(device)] = float(total)
    return str(jax.__version__)
