"""
Train a small convolutional network on MNIST in Keras, and show that this machine learns.

One file for three frameworks: KERAS_BACKEND is tensorflow, the default, torch or jax. It needs
that framework, keras, matplotlib and, for the fallback data, scikit-learn. With TensorFlow it
trains on more than one device as well (--strategy): on all GPUs of this host (mirrored), on the
hosts that TF_CONFIG names (multiworker), or as one of the processes that horovodrun started.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from mnist import BadInput, say
from mnist_training import (
    LEARNING_RATE,
    Learner,
    Predict,
    Progress,
    batches,
    chunks,
    main,
    parser,
    positive,
)
from nvml import capability


def network(shape: tuple[int, ...]) -> Any:
    """One convolution, one pool, two dense layers; probabilities in 32 bits."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def adam(world: int) -> Any:
    """More replicas make larger batches and fewer steps: each may be as much longer."""
    import keras

    return keras.optimizers.Adam(LEARNING_RATE * world)


class Keras:
    """A network that `fit` trains, on one device."""

    strategy = "none"
    rank, processes, world_size = 0, 1, 1
    file = "model.keras"

    def __init__(self, options: argparse.Namespace) -> None:
        self.framework = os.environ["KERAS_BACKEND"]
        self.devices = BACKENDS[self.framework]()
        self.device = next((name for name in self.devices if "CPU" not in name.upper()), "CPU")
        if options.mixed_precision:
            import keras

            keras.mixed_precision.set_global_policy(self.precision())

    def precision(self) -> str:
        """
        bfloat16 needs no scaling of the loss, which only `fit` does; GPUs before compute
        capability 8.0 compute with float16 alone.
        """
        old = self.device != "CPU" and (capability() or (8, 0)) < (8, 0)
        return "mixed_float16" if old and self.strategy == "none" else "mixed_bfloat16"

    def build(self, shape: tuple[int, ...], seed: int) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        self.shape = shape
        self.model = network(shape)
        self.compile()

    def compile(self) -> None:
        """Make the model ready for `fit`."""
        self.model.compile(
            adam(self.world_size), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )

    def train(
        self, images: Any, labels: Any, epochs: int, batch_size: int, seed: int, progress: Progress
    ) -> None:
        import keras
        import numpy as np

        class Curve(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
            def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
                told = logs or {}
                progress.step(size, lambda: (float(told["loss"]), float(told["accuracy"])))

        size = batch_size * self.world_size
        for epoch in range(epochs):
            each = [
                batches(len(images), batch_size, replica, self.world_size, seed, epoch)
                for replica in range(self.world_size)
            ]
            for chunk in chunks(len(each[0])):
                index = np.concatenate([one[step] for step in chunk for one in each])
                self.model.fit(
                    images[index],
                    labels[index],
                    size,
                    shuffle=False,
                    verbose=0,
                    callbacks=[Curve()],
                )
                progress.checkpoint()

    def plain(self) -> Any:
        """The model on one device."""
        return self.model

    def predict(self, images: Any) -> Any:
        return self.plain().predict(images, 512, verbose=0)

    def weights(self) -> list[bytes]:
        return [b"".join(weights.tobytes() for weights in self.model.get_weights())]

    def keep(self, file: Path) -> Predict:
        import keras

        try:
            self.plain().save(file)
        except RuntimeError as error:  # what h5py raises when the disk is full
            raise BadInput(f"{file} cannot be written ({error})") from error
        loaded = keras.saving.load_model(file)
        return lambda images: loaded.predict(images, 512, verbose=0)

    def gather(self, text: str) -> list[str]:
        return [text]


def of_tensorflow() -> list[str]:
    """What TensorFlow can compute on."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_physical_devices()]


def of_torch() -> list[str]:
    """What PyTorch can compute on."""
    import torch

    return [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]


def of_jax() -> list[str]:
    """What JAX can compute on."""
    import jax

    return [str(device) for device in jax.devices()]


BACKENDS = {"tensorflow": of_tensorflow, "torch": of_torch, "jax": of_jax}


def cluster(text: str | None) -> tuple[int, int]:
    """This worker's number and how many there are; BadInput for what is no TF_CONFIG."""
    form = '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'
    if not text:
        raise BadInput(f"--strategy multiworker: TF_CONFIG is not set; set it like {form}")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        right = (
            isinstance(workers, list)
            and all(isinstance(one, str) and one.rpartition(":")[2].isdigit() for one in workers)
            and set(config["cluster"]) == {"worker"}
            and task["type"] == "worker"
            and 0 <= index < len(workers)
        )
    except (ValueError, LookupError, TypeError) as error:
        raise BadInput(f"TF_CONFIG cannot be read ({error}); set it like {form}") from error
    if not right:
        raise BadInput(f"TF_CONFIG does not list this worker; set it like {form}")
    return index, len(workers)


def make(options: argparse.Namespace) -> Learner:
    """The learner of these options; BadInput where they do not fit what is there."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise BadInput(f"KERAS_BACKEND is {backend}; set it to one of {', '.join(BACKENDS)}")
    strategy = options.strategy or "none"
    if strategy != "none" and backend != "tensorflow":
        raise BadInput(f"--strategy {strategy} needs KERAS_BACKEND=tensorflow, not {backend}")
    if strategy == "multiworker":
        cluster(os.environ.get("TF_CONFIG"))
    for module in (*(["horovod"] if strategy == "horovod" else []), backend, "keras"):
        if not importlib.util.find_spec(module):
            raise BadInput(f"--strategy {strategy} on {backend}: No module named '{module}'")
    if strategy == "none":
        return Keras(options)
    import mnist_tensorflow

    made: Learner = mnist_tensorflow.STRATEGIES[strategy](options)
    return made


if __name__ == "__main__":
    line = parser(
        "Train a small network on MNIST in Keras", ("none", "mirrored", "multiworker", "horovod")
    )
    line.add_argument(
        "--replicas",
        type=positive,
        help="of --strategy mirrored: how many GPUs, without a GPU parts of the CPU;"
        " default: all GPUs, else 2",
    )
    options = line.parse_args()
    if options.replicas and options.strategy != "mirrored":
        say("mnist_keras: --replicas needs --strategy mirrored")
        sys.exit(2)
    sys.exit(main("mnist_keras", options, make))
