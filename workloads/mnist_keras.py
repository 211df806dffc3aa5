"""
Train a small convolutional network on MNIST, and show that this machine learns.

Stands alone: it needs tensorflow, tensorflow-datasets, matplotlib and scikit-learn, and nothing of
gpurig. The last line of standard output is one JSON object; everything else goes to standard error.
Exit 0: accuracy reached; 1: below the threshold; 2: bad arguments or bad data.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# sha256 of the original archives, as tensorflow_datasets registers them for "mnist"
# (tensorflow_datasets/url_checksums/mnist.txt).
# fmt: off
ARCHIVES = {
    "train-images-idx3-ubyte.gz":
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz":
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz":
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz":
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
# fmt: on
ORIGINAL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # where tensorflow_datasets looks

MNIST, DIGITS = "tensorflow_datasets", "fallback: UCI digits"
THRESHOLDS = {MNIST: 0.97, DIGITS: 0.94}
EPOCHS = {MNIST: 1, DIGITS: 20}
NETWORK_SECONDS = 20
SAME = 1e-6  # predictions before saving and after loading; the same weights in the same order
CURVE_POINTS = 20


class BadInput(Exception):
    """Arguments or data that cannot be used; the sentence says which and why."""


class Unreachable(BadInput):
    """A place of data that does not answer."""


@dataclass
class Data:
    """Images as float32 in [0, 1], shape (n, height, width, 1), and labels 0 to 9, shape (n,)."""

    source: str
    train: tuple[Any, Any]
    test: tuple[Any, Any]


def say(text: str) -> None:
    """Words for people."""
    print(text, file=sys.stderr, flush=True)


def fetch_archives(mirror: str, folder: Path, wanted: dict[str, str] | None = None) -> None:
    """
    Copy the four archives from a mirror into a folder, each compared with its checksum.

    + mirror: a folder, or a file:, http: or https: address that holds them
    + wanted: sha256 by file name

    Unreachable or BadInput name the file that is not there or not the original.
    """
    for name, checksum in (wanted or ARCHIVES).items():
        target = folder / name
        try:
            _copy(mirror, name, target)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(f"{shown(mirror)}: {name} cannot be read ({reason})") from error
        found = hashlib.sha256(target.read_bytes()).hexdigest()
        if found != checksum:
            told = f"{name} is {kind(target)}: sha256 {found}, not {checksum}"
            raise BadInput(f"{shown(mirror)}: {told}")


def shown(mirror: str) -> str:
    """An address without the password that may be in it."""
    before, at, after = mirror.rpartition("@")
    return f"{before.split('://')[0]}://…@{after}" if at and "://" in before else mirror


def _copy(mirror: str, name: str, target: Path) -> None:
    if not urllib.parse.urlsplit(mirror).scheme:
        shutil.copyfile(Path(mirror) / name, target)
        return
    address = f"{mirror.rstrip('/')}/{name}"
    with (
        urllib.request.urlopen(address, timeout=NETWORK_SECONDS) as source,
        target.open("wb") as to,
    ):
        shutil.copyfileobj(source, to)


def kind(file: Path) -> str:
    """What a file that is not the original seems to be."""
    head = file.read_bytes()[:512].lstrip()
    if head[:1] == b"<":
        return "a web page instead of an archive"
    if head[:2] != b"\x1f\x8b":
        return "not a gzip archive"
    return "truncated or changed"


def load_mnist(data_dir: str | None, mirror: str | None) -> Data:
    """MNIST through tensorflow_datasets, from a mirror, from what is prepared, or downloaded."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with alone(data_dir):
        builder = tfds.builder("mnist", data_dir=data_dir)
        if not builder.info.splits:  # not prepared yet
            with tempfile.TemporaryDirectory(prefix="mnist-") as name:
                # Its own downloader waits without a bound; its checksums are compared all the same.
                fetch_archives(mirror or ORIGINAL, Path(name))
                config = tfds.download.DownloadConfig(manual_dir=name)
                with contextlib.redirect_stdout(sys.stderr):
                    builder.download_and_prepare(download_config=config)
    splits = tfds.as_numpy(builder.as_dataset(split=["train", "test"], batch_size=-1))
    train, test = ((_scaled(part["image"], 255.0), part["label"]) for part in splits)
    return Data(MNIST, train, test)


@contextlib.contextmanager
def alone(data_dir: str | None) -> Iterator[None]:
    """One program at a time prepares a data set; the others wait and find it prepared."""
    folder = Path(data_dir or Path.home() / "tensorflow_datasets")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".mnist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load_digits() -> Data:
    """The UCI digits that scikit-learn ships: 1,797 images of 8 x 8."""
    from sklearn.datasets import load_digits as digits
    from sklearn.model_selection import train_test_split

    images, labels = digits(return_X_y=True)
    images = _scaled(images.reshape(-1, 8, 8, 1), 16.0)
    a, b, c, d = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    return Data(DIGITS, (a, c), (b, d))


def _scaled(images: Any, top: float) -> Any:
    import numpy as np

    return np.asarray(images, dtype="float32") / np.float32(top)


def load(data_dir: str | None, mirror: str | None) -> Data:
    """MNIST, or, where nobody named a mirror and none is reached, the digits, said loudly."""
    try:
        return load_mnist(data_dir, mirror)
    except Unreachable as error:
        if mirror:  # a mirror that was asked for is never silently replaced by something else
            raise
        say(f"{error}; fallback data: UCI digits")
        return load_digits()


def make_model(shape: tuple[int, ...]) -> Any:
    """The network: one convolution, one pool, two dense layers."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: Any, data: Data, epochs: int, batch_size: int) -> list[dict[str, float]]:
    """Train; the curve as at most `CURVE_POINTS` points of step, loss and accuracy."""
    import keras

    points: list[dict[str, float]] = []

    class Curve(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
        step = 0

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.step += 1
            told = logs or {}
            points.append(
                {"step": self.step, "loss": round(float(told["loss"]), 4),
                 "accuracy": round(float(told["accuracy"]), 4)}
            )  # fmt: skip

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            told = logs or {}
            say(f"epoch {epoch + 1} of {epochs}: accuracy {told['accuracy']:.4f} in training")

    images, labels = data.train
    model.fit(images, labels, batch_size, epochs, verbose=0, callbacks=[Curve()])
    every = max(1, -(-len(points) // CURVE_POINTS))
    return points[::-1][::every][::-1]  # counted from the end, so that the last one is among them


def draw_image(image: Any, probabilities: list[float], label: int, file: Path) -> None:
    """One image beside the probability of each digit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    left.imshow(image[..., 0], cmap="gray_r")
    left.set_title(f"label {label}")
    left.set_xticks([])
    left.set_yticks([])
    best = max(range(10), key=probabilities.__getitem__)
    colours = ["#2a8c4a" if digit == best else "#c8ccd0" for digit in range(10)]
    bars = right.barh(range(10), probabilities, color=colours)
    right.bar_label(bars, [f"{p:.1%}" if p >= 0.001 else "" for p in probabilities], padding=3)
    right.set_yticks(range(10))
    right.invert_yaxis()
    right.set_xlim(0, 1.15)
    right.set_title(f"predicted {best}")
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


def draw_curve(
    curve: list[dict[str, float]], accuracy: float, threshold: float, file: Path
) -> None:
    """Loss and accuracy over the training steps, and the accuracy on images not trained on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [point["step"] for point in curve]
    left.plot(steps, [point["loss"] for point in curve], color="#0b6bcb", marker="o", ms=3)
    left.set(title="loss in training", xlabel="step", ylim=(0, None))
    right.plot(steps, [p["accuracy"] for p in curve], color="#0b6bcb", marker="o", ms=3,
               label="in training")  # fmt: skip
    right.axhline(accuracy, color="#2a8c4a", label=f"on the test set: {accuracy:.4f}")
    right.axhline(threshold, color="#888", ls="--", lw=1, label=f"threshold: {threshold}")
    right.set(title="accuracy", xlabel="step", ylim=(None, 1))
    right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(file, dpi=120)


def text_curve(curve: list[dict[str, float]]) -> str:
    """The curve as text, for a log."""
    return "\n".join(
        f"step {p['step']:6.0f}  loss {p['loss']:7.4f}  accuracy {p['accuracy']:.4f}  "
        + "#" * round(40 * p["accuracy"])
        for p in curve
    )


def versions() -> dict[str, str]:
    """Of what computed."""
    from importlib.metadata import version

    names = ("tensorflow", "keras", "tensorflow-datasets", "numpy")
    return {"python": sys.version.split()[0]} | {name: version(name) for name in names}


def devices() -> list[str]:
    """What TensorFlow can compute on."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_physical_devices()]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Load, train, evaluate, save, load again, predict, draw; the result as JSON data."""
    import keras
    import numpy as np

    began = time.perf_counter()
    out = Path(options.out or tempfile.mkdtemp(prefix="mnist-out-"))
    out.mkdir(parents=True, exist_ok=True)
    data = load(options.data_dir, options.data_mirror)
    keras.utils.set_random_seed(options.seed)  # preparing the data draws random numbers, too
    loaded = time.perf_counter()
    epochs = options.epochs or EPOCHS[data.source]
    threshold = THRESHOLDS[data.source] if options.threshold is None else options.threshold
    model = make_model(data.train[0].shape[1:])
    curve = fit(model, data, epochs, options.batch_size)
    trained = time.perf_counter()
    _, accuracy = model.evaluate(*data.test, batch_size=512, verbose=0)

    batch = data.test[0][:256]
    before = model.predict(batch, verbose=0)
    file = out / "model.keras"
    model.save(file)
    after = keras.saving.load_model(file).predict(batch, verbose=0)
    difference = float(np.max(np.abs(before - after)))

    single = model.predict(data.test[0][:1], verbose=0)[0]
    probabilities = [round(float(p), 6) for p in single]
    plots = [out / "prediction.png", out / "training.png"]
    draw_image(data.test[0][0], probabilities, int(data.test[1][0]), plots[0])
    draw_curve(curve, accuracy, threshold, plots[1])
    found = devices()
    train_seconds = trained - loaded
    return {
        "schema": 1,
        "workload": "mnist_keras",
        "passed": bool(accuracy >= threshold and difference <= SAME),
        "accuracy": round(float(accuracy), 4),
        "threshold": threshold,
        "seconds": {
            "data": round(loaded - began, 2),
            "train": round(train_seconds, 2),
            "total": round(time.perf_counter() - began, 2),
        },
        "images_per_second": round(epochs * len(data.train[0]) / train_seconds, 1),
        "device": next((name for name in found if "GPU" in name), found[0]),
        "devices": found,
        "data": {"source": data.source, "train": len(data.train[0]), "test": len(data.test[0])},
        "versions": versions(),
        "reload_max_difference": difference,
        "single": {
            "label": int(data.test[1][0]),
            "predicted": int(np.argmax(single)),
            "probabilities": probabilities,
        },
        "curve": curve,
        "plots": [str(plot.resolve()) for plot in plots],
    }


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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="Train a small network on MNIST; JSON on stdout.")
    add = made.add_argument
    add("--data-dir", help="folder in which the prepared data set is kept")
    add("--data-mirror", help="folder or address of the four original archives")
    add("--out", help="folder for the model and the pictures; default: a new one")
    add("--epochs", type=positive, help="default: 1 on MNIST, 20 on the fallback digits")
    add("--batch-size", type=positive, default=64)
    add("--seed", type=seed, default=1)
    add("--threshold", type=share, help="least accuracy; default: 0.97, 0.94 on the digits")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run, print the JSON line, answer the exit code."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        result = run(options)
    except (BadInput, OSError, ImportError) as error:
        say(f"mnist_keras: {error}")
        return 2
    if result["accuracy"] < result["threshold"]:
        say(text_curve(result["curve"]))
        say(f"accuracy {result['accuracy']} is below {result['threshold']}")
    elif not result["passed"]:
        say(f"predictions differ by {result['reload_max_difference']} after loading")
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
