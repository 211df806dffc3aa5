"""What a host's training reached: accuracy, speed and learning curve, before all else."""

from __future__ import annotations

from gpurig.report.html.markup import card, escape, folded, prose, table
from gpurig.report.training import Training
from gpurig.report.units import duration, share

_HEADS = ["framework", "accuracy", "data", "speed", "to the threshold", "on"]


def results(measured: list[Training]) -> str:
    """The card: one training with its curve, several as a table; nothing where there is none."""
    if not measured:
        return ""
    if len(measured) > 1:
        return card(
            "Training", table(_HEADS, map(_row, measured)) + _substitute(measured), "long training"
        )
    (one,) = measured
    return card("Training", _tiles(one) + _substitute(measured) + _drawn(measured), "long")


def curves(measured: list[Training]) -> str:
    """The card with the pictures of several trainings."""
    return card("Learning curves", _drawn(measured), "long") if len(measured) > 1 else ""


def _drawn(measured: list[Training]) -> str:
    """The learning curves, and what else was drawn in a fold."""
    shown = [
        _figure(f"{one.name}: learning curve", data)
        for one in measured
        for data in one.curve.values()
    ]
    others = [_figure(name, data) for one in measured for name, data in one.pictures.items()]
    return _plots(shown) + folded("More pictures", _plots(others))


def _tiles(one: Training) -> str:
    tiles = []
    if one.accuracy is not None:
        number, _, unit = _share(one.accuracy).partition(" ")
        tiles.append((number, unit, f"accuracy on the test images of {one.data or 'its data'}"))
    if one.speed is not None:
        on = f" on {one.gpus or one.device}" if one.gpus or one.device else ""
        tiles.append((f"{one.speed:,.0f}", "images/s", f"{one.name}, training{on}"))
    if one.reached is not None and one.threshold is not None:
        number, _, unit = duration(one.reached).rpartition(" ")
        told = f"to reach {_share(one.threshold)}, the accuracy that is required"
        tiles.append((number, unit, told))
    made = "".join(
        f"<div><b>{number} <small>{unit}</small></b><span>{prose(told)}</span></div>"
        for number, unit, told in tiles
    )
    return f"<div class=tiles>{made}</div>"


def _row(one: Training) -> list[str]:
    reached = ""
    if one.reached is not None and one.threshold is not None:
        reached = f"{_share(one.threshold)} after {duration(one.reached)}"
    accuracy = "" if one.accuracy is None else _share(one.accuracy)
    if accuracy and not one.passed:
        accuracy += " (failed)"
    return [
        escape(one.name),
        prose(accuracy),
        escape(one.data),
        prose("" if one.speed is None else f"{one.speed:,.0f} images/s"),
        prose(reached),
        prose(one.gpus or one.device),
    ]


def _substitute(measured: list[Training]) -> str:
    if not any(one.substitute for one in measured):
        return ""
    return (
        "<p class=attention>MNIST could not be had, so UCI's digits were learnt in its place:"
        " <code>rig_data_mirror</code> names where MNIST is.</p>"
    )


def _plots(figures: list[str]) -> str:
    return f"<div class=plots>{''.join(figures)}</div>" if figures else ""


def _figure(name: str, data: str) -> str:
    told = escape(name.removesuffix(".png"))
    return (
        f"<figure><img alt='{told}' src='data:image/png;base64,{escape(data)}'>"
        f"<figcaption>{told}</figcaption></figure>"
    )


def _share(part: float) -> str:
    """A part of one; as it is where a program's accuracy is none."""
    return share(part) if 0 <= part <= 1 else f"{part:g}"
