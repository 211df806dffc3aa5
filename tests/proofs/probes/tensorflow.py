"""TensorFlow."""

from __future__ import annotations

from typing import Any


def look(told: dict[str, Any], base: str) -> str:
    """What it was built for, its GPUs, and a product and a convolution on each device."""
    import tensorflow as tf

    told["cuda"] = bool(tf.test.is_built_with_cuda())
    built = tf.sysconfig.get_build_info()
    if told["cuda"]:
        told["architectures"] = list(built.get("cuda_compute_capabilities", []))
    for device in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(device)
        capability = [int(number) for number in found.get("compute_capability", ())]
        told["gpus"].append({"name": str(found.get("device_name")), "capability": capability})
    for device in tf.config.list_logical_devices():
        if device.device_type in ("CPU", "GPU"):
            with tf.device(device.name):
                product = tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
                image = tf.nn.conv2d(tf.ones((1, 8, 8, 1)), tf.ones((3, 3, 1, 1)), 1, "VALID")
                total = tf.reduce_sum(product) + tf.reduce_sum(image)
            told["computed"][device.name] = float(total)
    return str(tf.__version__)
