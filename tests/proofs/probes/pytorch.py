"""PyTorch."""

from __future__ import annotations

from typing import Any


def look(told: dict[str, Any], base: str) -> str:
    """What it was built for, its GPUs, and a product and a convolution on each device."""
    import torch

    told["cuda"] = torch.version.cuda is not None
    if told["cuda"]:
        told["architectures"] = torch.cuda.get_arch_list()
    count = torch.cuda.device_count()
    for index in range(count):
        capability = list(torch.cuda.get_device_capability(index))
        told["gpus"].append({"name": torch.cuda.get_device_name(index), "capability": capability})
    for device in ["cpu"] + [f"cuda:{index}" for index in range(count)]:
        product = torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)
        image = torch.nn.functional.conv2d(
            torch.ones(1, 1, 8, 8, device=device), torch.ones(1, 1, 3, 3, device=device)
        )
        told["computed"][device] = float(product.sum() + image.sum())
    return str(torch.__version__)
