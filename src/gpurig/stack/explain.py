"""The resolver's answer in lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from gpurig.stack.model import Because, Refusal, Stack


def readable(answer: Stack | Refusal) -> list[str]:
    """The stack, then every reason with its source, what was rejected, and the warnings."""
    lines = list(_stack(answer) if isinstance(answer, Stack) else _refusal(answer))
    if answer.because:
        lines += ["because"]
        lines += [line for because in answer.because for line in _because(because)]
    lines += [f"warning: {warning}" for warning in answer.warnings]
    return lines


def rows(stack: Stack) -> list[tuple[str, str]]:
    """The stack as pairs of a part and what it is, in the order of setting up."""
    found = [("distribution", f"{stack.distribution} {stack.architecture}")]
    assumed = " (assumed)" if stack.assumed else ""
    for gpu in stack.gpus:
        at = f" at {gpu.address}" if gpu.address else assumed
        found.append(("GPU", f"{gpu.id} {gpu.architecture or 'unknown'} {gpu.name}".rstrip() + at))
    if stack.kernel:
        found.append(("kernel", stack.kernel.release or ", ".join(stack.kernel.packages)))
    if driver := stack.driver:
        what = f"{driver.minimum_version} {driver.flavour}, from {driver.source}"
        found.append(("driver", what))
    if stack.docker:
        found.append(("Docker", f"{stack.docker.packages[0]}, from {stack.docker.source}"))
    if toolkit := stack.container_toolkit:
        what = f"{toolkit.minimum_version} or newer, mode {toolkit.mode}"
        found.append(("container toolkit", what))
    for it in stack.environments:
        what = f"{it.framework} {it.version}, Python {it.python}, {it.accelerator}"
        found.append((f"environment {it.name}", what))
    if stack.cuda:
        found.append(("CUDA", f"{stack.cuda.version} from {stack.cuda.origin}"))
    if stack.cudnn:
        most = f", at most {stack.cudnn.maximum}" if stack.cudnn.maximum else ""
        found.append(("cuDNN", f"{stack.cudnn.version}{most}"))
    found += [(item.component, f"left out: {item.reason}") for item in stack.left_out]
    return found


def _stack(stack: Stack) -> Iterator[str]:
    pairs = rows(stack)
    width = max(len(part) for part, _ in pairs)
    for part, what in pairs:
        yield f"{part:{width}}  {what}"


def _refusal(refusal: Refusal) -> Iterator[str]:
    yield f"refused: {' and '.join(refusal.conflict)}"
    for way in refusal.ways_out:
        yield f"way out: {way.change} ({way.costs})"


def _because(because: Because) -> Iterator[str]:
    yield f"  {because.choice}: {because.reason} [{because.source}]"
    for rejected in because.rejected:
        yield f"    not {rejected}"
