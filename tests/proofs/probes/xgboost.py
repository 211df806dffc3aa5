"""XGBoost."""

from __future__ import annotations

import json
from typing import Any

ROWS = 64
MANY = 64  # more GPUs than a host has


def look(told: dict[str, Any], base: str) -> str:
    """How many of some rows one tree tells apart on each device, and on which it really grew."""
    import numpy as np
    import xgboost

    told["cuda"], told["wanted"] = bool(xgboost.build_info()["USE_CUDA"]), float(ROWS)
    truth = np.arange(ROWS) >= ROWS // 2
    data = xgboost.DMatrix(np.arange(ROWS, dtype="float32").reshape(-1, 1), label=truth)
    # A GPU that is not there is another one, or the CPU, in the end: that was the last one.
    for device in ("cpu", *(f"cuda:{index}" for index in range(MANY))):
        wish = {"objective": "binary:logistic", "max_depth": 1, "device": device, "verbosity": 0}
        tree = xgboost.train(wish, data, num_boost_round=1)
        if json.loads(tree.save_config())["learner"]["generic_param"]["device"] != device:
            break
        told["computed"][device] = float(((tree.predict(data) > 0.5) == truth).sum())
        if device != "cpu":
            told["gpus"].append({"name": device, "capability": []})
    return str(xgboost.__version__)
