"""The resolver's answer in lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from gpurig.stack.gpus import called
from gpurig.stack.model import Because, End, Refusal, Stack


def readable(answer: Stack | Refusal, month: str = "") -> list[str]:
    """
    The stack as a table; why, a line each with its source; what ends when; the warnings.

    + month: the one that it is, ``2026-11``; what ended before it is told as past
    """
    lines = list(_stack(answer) if isinstance(answer, Stack) else _refusal(answer))
    sources = list(dict.fromkeys(because.source for because in answer.because))
    if answer.because:
        lines += ["", "why"]
        lines += [line for because in answer.because for line in _because(because, sources)]
    if isinstance(answer, Stack) and answer.ends:
        lines += ["", "end of support"]
        lines += [f"  {end.what}: {support(end, month)}" for end in answer.ends]
    if answer.warnings:
        lines += ["", *(f"warning: {warning}" for warning in answer.warnings)]
    if sources:
        lines += ["", "sources"]
        lines += [f"  [{number}] {source}" for number, source in enumerate(sources, 1)]
    return lines


def rows(stack: Stack) -> list[tuple[str, str]]:
    """The stack as pairs of a part and what it is, in the order of setting up."""
    found = [("distribution", f"{stack.distribution} {stack.architecture}")]
    assumed = " (assumed)" if stack.assumed else ""
    for gpu in stack.gpus:
        at = f" at {gpu.address}" if gpu.address else assumed
        found.append(("GPU", called(gpu) + at))
    found += _driver_rows(stack)
    if stack.docker:
        found.append(("Docker", f"{stack.docker.packages[0]}, from {stack.docker.source}"))
    if stack.rootless:
        found.append(
            ("rootless Docker", f"for rig_users, with {', '.join(stack.rootless.packages)}")
        )
    if toolkit := stack.container_toolkit:
        version = toolkit.version or f"{toolkit.minimum_version} or newer"
        what = f"{version}, mode {toolkit.mode}"
        found.append(("container toolkit", what))
    found += _compute_rows(stack)
    found += [(item.component, f"left out: {item.reason}") for item in stack.left_out]
    return found


def _driver_rows(stack: Stack) -> Iterator[tuple[str, str]]:
    if stack.kernel:
        what = stack.kernel.release or ", ".join(stack.kernel.packages)
        yield (
            "kernel",
            what
            + (
                ", boots the newest kernel with the driver" if stack.kernel.boot != "newest" else ""
            ),
        )
    if driver := stack.driver:
        what = f"{driver.minimum_version} {driver.flavour}, from {driver.source}"
        if driver.source == "distribution":  # whose updates bring newer ones
            what = f"{driver.minimum_version} or newer, {driver.flavour}, from distribution"
        if driver.source == "nvidia":
            what = f"branch {driver.branch} {driver.flavour}, from nvidia"
        yield "driver", what
        if driver.pinning:
            yield "pinned by", driver.pinning
        if driver.fabric_manager:
            yield "fabric manager", f"{driver.fabric_manager}, in the driver's version"


def _compute_rows(stack: Stack) -> Iterator[tuple[str, str]]:
    for it in stack.environments:
        on = f" on {it.base}" if it.base else ""
        what = f"{it.framework} {it.version}{on}, Python {it.python}, {it.accelerator}"
        yield f"environment {it.name}", what
    for image in stack.images:
        if image.environment is None:
            yield f"image {image.name}", f"loaded from {image.file}"
            continue
        it = image.environment
        what = f"{it.framework} {it.version}, Python {it.python}, {it.accelerator}"
        yield f"image {image.name}", f"{what}, built on {image.base}"
    if cuda := stack.cuda:
        gcc = f", host compiler gcc {cuda.gcc}" if cuda.gcc else ""
        yield "CUDA", f"{cuda.version} from {cuda.origin}{gcc}"
    if cudnn := stack.cudnn:
        most = f", at most {cudnn.maximum}" if cudnn.maximum and not cudnn.minimum else ""
        yield "cuDNN", f"{cudnn.version} from {cudnn.origin}{most}"


def support(end: End, month: str = "") -> str:
    """Until when something is supported, and what then; past if that was before the month."""
    when = end.when + " (unverified)" * end.unverified
    if end.when.startswith("ended"):
        return f"{when}; {end.consequence}"
    if end.when < month:
        return f"ended {when}; {end.consequence.removeprefix('then ')}"
    return f"until {when}; {end.consequence}"


def _stack(stack: Stack) -> Iterator[str]:
    pairs = rows(stack)
    width = max(len(part) for part, _ in pairs)
    for part, what in pairs:
        yield f"{part:{width}}  {what}"


def _refusal(refusal: Refusal) -> Iterator[str]:
    several = len(refusal.conflict) > 1
    yield "no working combination; these conflict:" if several else "refused:"
    for one in refusal.conflict:
        yield f"  {one}"
    yield "you can:"
    for way in refusal.ways_out:
        yield f"  {way.change}: {way.costs}"


def _because(because: Because, sources: list[str]) -> Iterator[str]:
    number = sources.index(because.source) + 1
    yield f"  {because.choice}: {because.reason} [{number}]"
    for rejected in because.rejected:
        yield f"    not {rejected}"
