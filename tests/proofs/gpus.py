"""The GPUs that `nvidia-smi -L` lists on a host and in its containers, compared."""

from __future__ import annotations

from gpurig.proofs.plugin import Subject


def gpus(listing: str) -> list[str]:
    """The GPUs of ``nvidia-smi -L`` and their MIG instances, one line each."""
    lines = [line.strip() for line in listing.splitlines()]
    return [line for line in lines if line.startswith(("GPU ", "MIG "))]


def same_gpus(subject: Subject, outside: list[str], inside: list[str]) -> None:
    """A container has exactly those that the host's driver has; a card without it counts not."""
    if subject.stack["assumed"]:  # without an identity that would have to be the same
        assert len(inside) == len(subject.gpus), f"{len(inside)} GPUs of {len(subject.gpus)} inside"
        return
    assert outside, "the driver of the host lists no GPU"
    assert len(inside) == len(outside), f"{len(inside)} GPUs of {len(outside)} inside"
    assert inside == outside, "other GPUs inside than outside"
