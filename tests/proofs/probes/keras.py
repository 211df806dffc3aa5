"""Keras, on what KERAS_BACKEND names."""

from __future__ import annotations

from typing import Any


def look(told: dict[str, Any], base: str) -> str:
    """A product and a convolution on its base."""
    import keras

    image = keras.ops.conv(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((3, 3, 1, 1)))
    product = keras.ops.matmul(keras.ops.ones((64, 64)), keras.ops.ones((64, 64)))
    total = keras.ops.sum(product) + keras.ops.sum(image)
    told["computed"]["keras on " + keras.backend.backend()] = float(total)
    return str(keras.__version__)
