"""Pictures of a training: its curve, one prediction, and what was taken for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
    curve: list[dict[str, float]],
    accuracy: float,
    threshold: float,
    file: Path,
    speed: float,
    gpus: list[dict[str, Any]],
) -> None:
    """
    Loss and accuracy over the training steps, and the accuracy on images not trained on.

    + speed: images a second; gpus: their mean use and highest memory, as the result has them
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), layout="constrained")
    told = [f"{speed:,.0f} images/s"]
    told += [
        f"{gpu['name']} {gpu['utilization_percent']:.0f} %, {gpu['memory_used_bytes'] / 1e9:.1f} GB"
        for gpu in gpus
    ]
    figure.suptitle("\n".join(told), fontsize=9, color="#666")
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


def draw_confusion(labels: Any, predicted: Any, file: Path) -> None:
    """How many images of each digit were taken for which."""
    import numpy as np
    from matplotlib.figure import Figure

    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (labels, predicted), 1)
    of_each = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(of_each, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if of_each[row, column] > 0.5 else "#333"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    axes.set(title="test images", xlabel="predicted", ylabel="label")
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.spines[:].set_visible(False)
    figure.savefig(file, dpi=120)


def text_curve(curve: list[dict[str, float]]) -> str:
    """The curve as text, for a log."""
    return "\n".join(
        f"step {p['step']:6.0f}  loss {p['loss']:7.4f}  accuracy {p['accuracy']:.4f}  "
        + "#" * round(40 * p["accuracy"])
        for p in curve
    )
