"""
What the programs that learn MNIST have in common: arguments, clock, checkpoints and result.

A program brings a `Learner`, one framework's way to train, and calls `main`. The result is the last
line of standard output, one JSON object; everything else goes to standard error. Where several
processes train together, only rank 0 prints it. Exit 0: passed; 1: not; 2: bad arguments or data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mnist import DIGITS, BadInput, Data, load, say
from mnist_plots import draw_confusion, draw_curve, draw_image
from nvml import Gpus

THRESHOLD, THRESHOLD_ON_DIGITS = 0.97, 0.94
EPOCHS, EPOCHS_ON_DIGITS = 1, 20
SAME = 1e-6  # predictions before saving and after loading; the same weights in the same order
CHECKS = 4  # of the accuracy on test images, in an epoch that is long enough
LONG = 100  # steps
CURVE_POINTS = 20
LEARNING_RATE = 1e-3  # Adam's own

Predict = Callable[[Any], Any]  # images (n, height, width, 1) -> probabilities (n, 10)


class Learner(Protocol):
    """
    One framework's way to train.

    + framework: ``tensorflow``, ``torch`` or ``jax``
    + rank, processes: of those that train together; world_size: replicas of the model
    + devices: what the framework can compute on; device: what is computed on
    + file: what the model is saved as
    """

    framework: str
    strategy: str
    rank: int
    processes: int
    world_size: int
    devices: list[str]
    device: str
    file: str

    def build(self, shape: tuple[int, ...], seed: int) -> None:
        """Make the network for images of this shape; random numbers begin at the seed."""

    def train(self, images: Any, labels: Any, epochs: int, batch_size: int, seed: int,
              progress: Progress) -> None:  # fmt: skip
        """Train; each step is told to `progress`, and each chunk ends with its checkpoint."""

    def predict(self, images: Any) -> Any:
        """Probabilities of the digits, shape (n, 10), float32."""

    def weights(self) -> list[bytes]:
        """All weights of each replica of this process."""

    def keep(self, file: Path) -> Predict:
        """Save the model, load it again; the loaded one's predictions."""

    def gather(self, text: str) -> list[str]:
        """A text of up to 1,000 bytes of each process, by rank."""


class Progress:
    """
    The clock and the curve of a training; evaluating is not counted as training.

    + steps, epochs: of the whole training
    + accuracy: on the test images, asked for at checkpoints until it reaches the threshold
    """

    def __init__(
        self, steps: int, epochs: int, threshold: float, accuracy: Callable[[], float] | None
    ) -> None:
        self.steps, self.epochs = steps, epochs
        self.threshold, self.accuracy = threshold, accuracy
        self.done = self.images = 0
        self.curve: list[dict[str, float]] = []
        self.to_threshold: float | None = None
        self.paused = 0.0
        self.began = time.perf_counter()
        self.first: float | None = None

    @property
    def seconds(self) -> float:
        """Of training until now."""
        return time.perf_counter() - self.began - self.paused

    @property
    def told(self) -> str:
        """How far it is: ``epoch 3 of 20, step 58 of 440``."""
        epoch = -(-self.done * self.epochs // self.steps)
        return f"epoch {epoch} of {self.epochs}, step {self.done} of {self.steps}"

    @property
    def images_per_second(self) -> float:
        """After the first step, in which the framework traces, compiles and tunes itself."""
        return self.images / (self.seconds - self.first) if self.images and self.first else 0.0

    def step(self, images: int, read: Callable[[], tuple[float, float]]) -> None:
        """
        One step is done.

        + images: that it learnt from, on all replicas
        + read: its loss and accuracy; reading waits for the device, so it is done rarely
        """
        self.done += 1
        if self.first is None:
            read()
            self.first = self.seconds
        else:
            self.images += images
        if (self.steps - self.done) % -(-self.steps // CURVE_POINTS) == 0:
            loss, accuracy = read()
            self.curve.append(
                {"step": self.done, "loss": round(loss, 4), "accuracy": round(accuracy, 4)}
            )
            if self.accuracy is not None:  # rank 0 alone says it
                say(f"{self.told}: accuracy {accuracy:.4f}, loss {loss:.4f}")

    def checkpoint(self) -> None:
        """Look at the accuracy on the test images, unless it was high enough before."""
        if self.accuracy is None or self.to_threshold is not None:
            return
        began = time.perf_counter()
        accuracy = self.accuracy()
        self.paused += time.perf_counter() - began
        say(f"{self.told}: test accuracy {accuracy:.4f}")
        if accuracy >= self.threshold:
            self.to_threshold = self.seconds


def batches(count: int, size: int, rank: int, world: int, seed: int, epoch: int) -> list[Any]:
    """
    The indices of one replica's batches: its own part of the images, shuffled anew each epoch.

    All replicas get equally many.
    """
    import numpy as np

    if count < world:
        raise BadInput(f"{world} replicas cannot share {count} training images")
    order = np.random.default_rng([seed, epoch]).permutation(count)
    mine = order[rank::world][: count // world]
    return [mine[start : start + size] for start in range(0, len(mine), size)]


def chunks(steps: int) -> list[range]:
    """The steps of an epoch, in up to `CHECKS` parts that end with a checkpoint."""
    checks = CHECKS if steps >= LONG else 1
    ends = [-(-steps * part // checks) for part in range(1, checks + 1)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def run(workload: str, options: argparse.Namespace, learner: Learner) -> dict[str, Any] | None:
    """Load, train, evaluate, save, load again, predict, draw; rank 0 has the result."""
    import numpy as np

    began = time.perf_counter()
    out = Path(options.out or tempfile.mkdtemp(prefix="mnist-out-"))
    out.mkdir(parents=True, exist_ok=True)
    data = load(options.data_dir, options.data_mirror)
    agree(learner, data)
    digits = data.source == DIGITS
    epochs = options.epochs or (EPOCHS_ON_DIGITS if digits else EPOCHS)
    threshold = options.threshold
    if threshold is None:
        threshold = THRESHOLD_ON_DIGITS if digits else THRESHOLD
    learner.build(data.train[0].shape[1:], options.seed)
    loaded = time.perf_counter()

    def accuracy() -> float:
        found = learner.predict(data.test[0]).argmax(axis=1)
        return float((found == data.test[1]).mean())

    count = len(data.train[0])
    steps = epochs * len(
        batches(count, options.batch_size, learner.rank, learner.world_size, options.seed, 0)
    )
    progress = Progress(steps, epochs, threshold, accuracy if learner.rank == 0 else None)
    with Gpus() as gpus:
        learner.train(*data.train, epochs, options.batch_size, options.seed, progress)
    seconds, speed = progress.seconds, progress.images_per_second
    ranks = weights_of_all(learner)
    if learner.rank != 0:
        learner.gather("")  # rank 0 may still need the others
        return None

    predicted = learner.predict(data.test[0])
    reached = float((predicted.argmax(axis=1) == data.test[1]).mean())
    batch = data.test[0][:256]
    again = learner.keep(out / learner.file)(batch)
    difference = float(np.max(np.abs(learner.predict(batch) - again)))
    single = learner.predict(data.test[0][:1])[0]
    probabilities = [round(float(p), 6) for p in single]
    plots = [out / "prediction.png", out / "training.png", out / "confusion.png"]
    draw_image(data.test[0][0], probabilities, int(data.test[1][0]), plots[0])
    draw_curve(progress.curve, reached, threshold, plots[1], speed, gpus.seen())
    draw_confusion(data.test[1], predicted.argmax(axis=1), plots[2])
    learner.gather("")
    to_threshold = progress.to_threshold
    equal = len({rank["weights_sha256"] for rank in ranks}) == 1
    return {
        "schema": 1,
        "workload": workload,
        "passed": bool(reached >= threshold and difference <= SAME and equal),
        "framework": learner.framework,
        "strategy": learner.strategy,
        "world_size": learner.world_size,
        "ranks": ranks,
        "accuracy": round(reached, 4),
        "threshold": threshold,
        "seconds": {
            "data": round(loaded - began, 2),
            "train": round(seconds, 2),
            "to_threshold": None if to_threshold is None else round(to_threshold, 2),
            "total": round(time.perf_counter() - began, 2),
        },
        "images_per_second": round(speed, 1),
        "device": learner.device,
        "devices": learner.devices,
        "gpus": gpus.seen(),
        "mixed_precision": options.mixed_precision,
        "seed": options.seed,
        "data": {"source": data.source, "train": count, "test": len(data.test[0])},
        "versions": versions(),
        "reload_max_difference": difference,
        "single": {
            "label": int(data.test[1][0]),
            "predicted": int(np.argmax(single)),
            "probabilities": probabilities,
        },
        "curve": progress.curve,
        "plots": [str(plot.resolve()) for plot in plots],
    }


def agree(learner: Learner, data: Data) -> None:
    """BadInput where one process found MNIST and another only the fallback."""
    told = [json.loads(text) for text in learner.gather(json.dumps(
        {"host": socket.gethostname(), "images": list(data.train[0].shape)}
    ))]  # fmt: skip
    if any(one["images"] != told[0]["images"] for one in told):
        each = ", ".join(f"rank {rank} on {one['host']}: {one['images'][0]} training images"
                         for rank, one in enumerate(told))  # fmt: skip
        raise BadInput(f"the processes have different data ({each})")


def weights_of_all(learner: Learner) -> list[dict[str, Any]]:
    """Each replica's host, and the sha256 of its weights."""
    sums = [hashlib.sha256(weights).hexdigest() for weights in learner.weights()]
    told = learner.gather(json.dumps({"host": socket.gethostname(), "sums": sums}))
    all_of_them = [(one["host"], each) for one in map(json.loads, told) for each in one["sums"]]
    return [
        {"rank": rank, "host": host, "weights_sha256": each}
        for rank, (host, each) in enumerate(all_of_them)
    ]


def text_curve(curve: list[dict[str, float]]) -> str:
    """The curve as text, for a log."""
    return "\n".join(
        f"step {p['step']:6.0f}  loss {p['loss']:7.4f}  accuracy {p['accuracy']:.4f}  "
        + "#" * round(40 * p["accuracy"])
        for p in curve
    )


def versions() -> dict[str, str]:
    """Of what may have computed, and is installed."""
    from importlib.metadata import packages_distributions, version

    names = ("tensorflow", "torch", "jax", "keras", "horovod", "tensorflow_datasets", "numpy")
    by_module = packages_distributions()
    return {"python": sys.version.split()[0]} | {
        name.replace("_", "-"): version(by_module[name][0]) for name in names if name in by_module
    }


def parser(description: str, strategies: tuple[str, ...]) -> argparse.ArgumentParser:
    """The command line that the programs share."""
    made = argparse.ArgumentParser(description=f"{description}; print JSON.")
    add = made.add_argument
    add("--data-dir", help="folder for the data; default: ~/tensorflow_datasets")
    add("--data-mirror", help="folder or address of the four original archives")
    add("--out", help="folder for the model and the pictures; default: a new one")
    add("--strategy", choices=strategies)
    add("--epochs", type=positive, help="default: 1 on MNIST, 20 on the fallback digits")
    add(
        "--batch-size",
        type=positive,
        default=64,
        help="images in each step of a replica; default: 64",
    )
    add(
        "--mixed-precision",
        action="store_true",
        help="compute in 16 bits where that is precise enough",
    )
    add("--seed", type=seed, default=1)
    add("--threshold", type=share, help="the accuracy to reach; default: 0.97, on the digits 0.94")
    return made


def positive(text: str) -> int:
    """A whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


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


def main(
    workload: str, options: argparse.Namespace, make: Callable[[argparse.Namespace], Learner]
) -> int:
    """
    Run, print the JSON line, answer the exit code.

    + make: the learner of these options
    """
    # GPUs are counted as NVML does, and take the memory that they need: both are shown.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    learner = None
    try:
        learner = make(options)
        result = run(workload, options, learner)
    except (BadInput, OSError, ImportError) as error:
        say(f"{workload}: {error}")
        return 2
    except Exception as error:  # whatever a framework raises where another rank has ended
        if learner is None or learner.processes == 1:
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        say(f"{workload}: rank {learner.rank} of {learner.processes} stopped ({said})")
        return 1
    if result is None:
        return 0
    if result["accuracy"] < result["threshold"]:
        say(text_curve(result["curve"]))
        say(f"accuracy {result['accuracy']} is below {result['threshold']}")
    elif not result["passed"]:
        say(
            f"predictions differ by {result['reload_max_difference']} after loading, or weights"
            f" between the ranks: {result['ranks']}"
        )
    print(json.dumps(result), flush=True)
    return 0 if result["passed"] else 1
