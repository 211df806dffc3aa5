"""Horovod, on TensorFlow or PyTorch."""

from __future__ import annotations

from typing import Any


def look(told: dict[str, Any], base: str) -> str:
    """The sum over one process, of what its base holds."""
    import horovod

    if base == "pytorch":
        import horovod.torch as hvd
        from torch import full
    else:
        import horovod.tensorflow as hvd
        from tensorflow import fill as full
    hvd.init()
    total = hvd.allreduce(full((1,), told["wanted"]), name="gpurig", op=hvd.Sum)
    told["computed"]["horovod"] = float(total[0])
    return str(horovod.__version__)
