"""
Boost trees on handwritten digits with XGBoost, on the CPU or on a GPU, and count what they learnt.

Stands alone: it needs xgboost and scikit-learn, whose digits it learns, so nothing is downloaded.
XGBoost goes on with the CPU where it finds no GPU; that is not passed here if a GPU was asked for.
The last line of standard output is one JSON object. Exit 0: learnt, on the device that was asked
for; 1: not; 2: bad arguments, or a module is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

from nvml import Gpus

THRESHOLD = 0.94  # as of the networks that learn the same digits; 0.96 is reached
ROUNDS, DEPTH = 50, 4


def run(device: str, seed: int, threshold: float) -> dict[str, Any]:
    """Train on three quarters of the digits and test on the others; the result as JSON data."""
    import sklearn
    import xgboost
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, wanted, truth = train_test_split(
        images.astype("float32"), labels, test_size=0.25, random_state=seed, stratify=labels
    )
    model = xgboost.XGBClassifier(
        n_estimators=ROUNDS, max_depth=DEPTH, tree_method="hist", device=device, random_state=seed
    )
    began = time.perf_counter()
    with Gpus() as gpus:
        model.fit(train, wanted)
    seconds = time.perf_counter() - began
    # What it computed on in the end, which is not always what it was given.
    config = json.loads(model.get_booster().save_config())
    used = str(config["learner"]["generic_param"]["device"])
    accuracy = float((model.predict(test) == truth).mean())
    return {
        "schema": 1,
        "workload": "trees",
        "passed": accuracy >= threshold and used.startswith(device),
        "framework": "xgboost",
        "device": used,
        "accuracy": round(accuracy, 4),
        "threshold": threshold,
        "seconds": {"train": round(seconds, 2)},
        "gpus": gpus.seen(),
        "seed": seed,
        "data": {"source": "UCI digits", "train": len(train), "test": len(test)},
        "versions": {
            "python": sys.version.split()[0],
            "xgboost": xgboost.__version__,
            "scikit-learn": sklearn.__version__,
        },
    }


def seed(text: str) -> int:
    """What NumPy takes as a seed."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {2**32 - 1}")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run, print the JSON line, answer the exit code."""
    parser = argparse.ArgumentParser(description="Boost trees on handwritten digits; print JSON.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument(
        "--threshold", type=share, default=THRESHOLD, help=f"least accuracy; default: {THRESHOLD}"
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # that it goes on with the CPU, said once a round
    try:
        result = run(options.device, options.seed, options.threshold)
    except ImportError as error:
        print(f"trees: {error}", file=sys.stderr)
        return 2
    if not result["device"].startswith(options.device):
        print(f"trees: it computed on {result['device']}, not on {options.device}", file=sys.stderr)
    elif not result["passed"]:
        print(f"accuracy {result['accuracy']} is below {options.threshold}", file=sys.stderr)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
