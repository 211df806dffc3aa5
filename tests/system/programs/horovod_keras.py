"""As Horovod's examples for Keras have it: one model a process, and what rank 0 has goes to all."""

import horovod.tensorflow as hvd
import keras
import tensorflow as tf

hvd.init()
gpus = tf.config.list_physical_devices("GPU")
if gpus:
    tf.config.set_visible_devices(gpus[hvd.local_rank()], "GPU")

keras.utils.set_random_seed(7 + hvd.rank())
inputs = tf.random.normal((128, 8))
targets = tf.reduce_sum(inputs, 1, keepdims=True)
model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.05 * hvd.size())

for step in range(8):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs, training=True) - targets) ** 2)
    tape = hvd.DistributedGradientTape(tape)
    variables = [variable.value for variable in model.trainable_variables]
    optimizer.apply_gradients(
        zip(tape.gradient(loss, variables), model.trainable_variables, strict=True)
    )
    if step == 0:
        hvd.broadcast_variables([variable.value for variable in model.variables], root_rank=0)
    print(f"rank {hvd.rank()} of {hvd.size()}: step {step}, loss {float(loss):.4f}")

if hvd.rank() == 0:
    model.save("model.keras")
