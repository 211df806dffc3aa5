"""`mnist_keras.py` on more than one device: what TensorFlow and Horovod bring for that."""

from __future__ import annotations

import argparse
import os
import socket
from typing import Any

import tensorflow as tf
from mnist import BadInput
from mnist_keras import Keras, adam, cluster, network
from mnist_training import Progress, batches, chunks

TEXT = 1024  # bytes of a text that processes exchange


class Distributed(Keras):
    """What is common: the trained model is evaluated and saved as a plain copy on one device."""

    distribution: Any

    def build(self, shape: tuple[int, ...], seed: int) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        self.shape = shape
        self.copy = network(shape)
        keras.utils.set_random_seed(seed)
        with self.distribution.scope():
            self.model = network(shape)
            self.compile()

    def plain(self) -> Any:
        self.copy.set_weights(self.model.get_weights())
        return self.copy

    def weights(self) -> list[bytes]:
        each = [
            [value.numpy().tobytes() for value in self.local(variable.value)]
            for variable in self.model.variables
        ]
        return [b"".join(replica) for replica in zip(*each, strict=True)]

    def local(self, variable: Any) -> Any:
        """A variable's values on the replicas of this process."""
        return self.distribution.experimental_local_results(variable)


class Mirrored(Distributed):
    """All GPUs of this host, or parts of its CPU, under MirroredStrategy; `fit` trains."""

    strategy = "mirrored"

    def __init__(self, options: argparse.Namespace) -> None:
        gpus = tf.config.list_physical_devices("GPU")
        count = options.replicas or len(gpus) or 2
        if gpus and count > len(gpus):
            raise BadInput(f"--replicas {count}: this host has {len(gpus)} GPUs")
        if not gpus:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration() for _ in range(count)],
            )
        super().__init__(options)
        kind = "GPU" if gpus else "CPU"
        self.distribution = tf.distribute.MirroredStrategy([f"{kind}:{n}" for n in range(count)])
        self.world_size = count


class Loop(Distributed):
    """A loop of our own: Keras 3's `fit` does not know PerReplica values of several workers."""

    def compile(self) -> None:
        self.optimizer = adam(self.world_size)
        self.optimizer.build(self.model.trainable_variables)

    def train(
        self, images: Any, labels: Any, epochs: int, batch_size: int, seed: int, progress: Progress
    ) -> None:
        learn = tf.function(self.learn, reduce_retracing=True)
        self.begin()
        for epoch in range(epochs):
            mine = [
                batches(len(images), batch_size, replica, self.world_size, seed, epoch)
                for replica in self.replicas()
            ]
            for chunk in chunks(len(mine[0])):
                for step in chunk:
                    index = [one[step] for one in mine]
                    loss, accuracy = learn(
                        self.values([images[i] for i in index]),
                        self.values([labels[i] for i in index]),
                    )
                    # Bound now, since the loop goes on; mypy infers no lambda with defaults.
                    progress.step(
                        len(index[0]) * self.world_size,
                        lambda loss=loss, accuracy=accuracy: (float(loss), float(accuracy)),  # type: ignore[misc]
                    )
                progress.checkpoint()

    def begin(self) -> None:
        """What comes before the first step."""

    def replicas(self) -> range:
        """The ranks of this process's replicas."""
        return range(self.rank, self.rank + 1)

    def values(self, parts: list[Any]) -> Any:
        """One array for each replica of this process, as `learn` takes them."""
        return tf.constant(parts[0])

    def learn(self, images: Any, labels: Any) -> Any:
        """One step; loss and accuracy."""
        return self.descend(images, labels, 1)

    def exchange(self, tape: Any) -> Any:
        """The tape, unless the optimizer cannot average over processes: then one that does."""
        return tape

    def descend(self, images: Any, labels: Any, parts: int) -> Any:
        """
        One step of one replica.

        + parts: of the loss, whose gradients the optimizer adds up
        """
        import keras

        with tf.GradientTape() as tape:
            output = self.model(images, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, output))
            part = loss / parts
        variables = [variable.value for variable in self.model.trainable_variables]
        gradients = self.exchange(tape).gradient(part, variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        right = tf.equal(tf.argmax(output, axis=1), tf.cast(labels, tf.int64))
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))


class MultiWorker(Loop):
    """The hosts of TF_CONFIG under MultiWorkerMirroredStrategy."""

    strategy = "multiworker"

    def __init__(self, options: argparse.Namespace) -> None:
        self.rank, self.processes = cluster(os.environ.get("TF_CONFIG"))
        self.distribution = tf.distribute.MultiWorkerMirroredStrategy()
        super().__init__(options)
        self.world_size = self.distribution.num_replicas_in_sync
        self.here = self.world_size // self.processes

    def replicas(self) -> range:
        return range(self.rank * self.here, (self.rank + 1) * self.here)

    def values(self, parts: list[Any]) -> Any:
        first = self.rank * self.here
        return self.distribution.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group - first])
        )

    def learn(self, images: Any, labels: Any) -> Any:
        def replica(images: Any, labels: Any) -> Any:
            return self.descend(images, labels, self.world_size)

        told = self.distribution.run(replica, args=(images, labels))
        return [self.distribution.reduce("MEAN", one, axis=None) for one in told]

    def gather(self, text: str) -> list[str]:
        row = encoded(text)
        rows = self.distribution.experimental_distribute_values_from_function(lambda _: row)
        together = self.distribution.gather(rows, axis=0).numpy()
        return [decoded(row) for row in together[:: self.here]]


class Horovod(Loop):
    """One of the processes that horovodrun started; its tape averages the gradients."""

    strategy = "horovod"

    def __init__(self, options: argparse.Namespace) -> None:
        import horovod.tensorflow as hvd

        self.hvd = hvd
        hvd.init()
        self.rank, self.processes = hvd.rank(), hvd.size()
        self.world_size = self.processes
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            if hvd.local_rank() >= len(gpus):
                raise BadInput(
                    f"{socket.gethostname()} has {len(gpus)} GPUs, and its process"
                    f" {hvd.local_rank() + 1} needs its own"
                )
            tf.config.set_visible_devices(gpus[hvd.local_rank()], "GPU")
        super().__init__(options)
        self.distribution = tf.distribute.get_strategy()  # the default one: a single device

    def begin(self) -> None:
        self.hvd.broadcast_variables([v.value for v in self.model.variables], root_rank=0)

    def local(self, variable: Any) -> Any:
        return [variable]

    def exchange(self, tape: Any) -> Any:
        return self.hvd.DistributedGradientTape(tape)

    def gather(self, text: str) -> list[str]:
        return [decoded(row) for row in self.hvd.allgather(encoded(text)).numpy()]


STRATEGIES = {"mirrored": Mirrored, "multiworker": MultiWorker, "horovod": Horovod}


def encoded(text: str) -> Any:
    """A text as numbers, shape (1, TEXT): what every collective operation can carry."""
    return tf.constant([list(text.encode().ljust(TEXT))], tf.float32)


def decoded(row: Any) -> str:
    return bytes(int(number) for number in row).decode().rstrip()
