"""As TensorFlow's tutorial on several workers with Keras has it: each worker reads TF_CONFIG."""

import json
import os

import keras
import tensorflow as tf

config = json.loads(os.environ["TF_CONFIG"])
workers, index = len(config["cluster"]["worker"]), config["task"]["index"]
strategy = tf.distribute.MultiWorkerMirroredStrategy()
BATCH = 32 * workers

keras.utils.set_random_seed(7)
inputs = tf.random.stateless_normal((256, 8), seed=(1, 2))
data = tf.data.Dataset.from_tensor_slices((inputs, tf.reduce_sum(inputs, 1, keepdims=True)))
batches = strategy.experimental_distribute_dataset(data.repeat(2).batch(BATCH))

with strategy.scope():
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
    weights = [variable.value for variable in model.trainable_variables]


def step(batch, target):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(batch, training=True) - target) ** 2) / BATCH
    context = tf.distribute.get_replica_context()
    slopes = context.all_reduce(tf.distribute.ReduceOp.SUM, tape.gradient(loss, weights))
    for weight, slope in zip(weights, slopes, strict=True):
        weight.assign_sub(0.1 * slope)
    return loss


@tf.function
def train(batch, target):
    losses = strategy.run(step, args=(batch, target))
    return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)


for number, (batch, target) in enumerate(batches):
    loss = float(train(batch, target))
    print(f"worker {index} of {workers}: step {number}, loss {loss:.4f}")

# The chief saves what counts; the others have to save as well, each somewhere of its own.
model.save_weights("model.weights.h5" if index == 0 else f"worker{index}.weights.h5")
