"""The GPUs that `nvidia-smi -L` lists on a host and in its containers, compared."""

from __future__ import annotations

from gpurig.proofs.plugin import Subject


def gpus(listing: str) -> list[str]:
    """The GPUs of ``nvidia-smi -L`` and their MIG instances, one line each."""
    lines = [line.strip() for line in listing.splitlines()]
    return [line for line in lines if line.startswith(("GPU ", "MIG "))]


def _count(inside: list[str], wanted: int) -> str:
    return f"the container lists {len(inside)} of {wanted} GPUs"


def same_gpus(subject: Subject, outside: list[str], inside: list[str]) -> None:
    """A container has exactly those that the host's driver has; a card without it counts not."""
    if subject.stack["assumed"]:  # without an identity that would have to be the same
        assert len(inside) == len(subject.gpus), _count(inside, len(subject.gpus))
        return
    assert outside, "nvidia-smi lists no GPU on the host"
    assert len(inside) == len(outside), _count(inside, len(outside))
    assert inside == outside, "the container lists other GPUs than the host"
