"""What the proofs of training need on the host."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.contract.limits import Limits
from gpurig.operations import workloads as training
from gpurig.operations.shared import ownership
from gpurig.settings.programs import own_programs
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Workloads")
def workloads(stack: Stack, settings: Settings) -> None:
    """The user, the programs, their data, and what the user brings of both."""
    user = settings.users[0] if settings.users else training.USER
    own = own_programs(settings)
    paths = [ownership.OURS, training.FOLDER, *[training.OWN] * bool(own), training.STATE]
    ownership.folders(promise="workloads.folders", paths=tuple(paths))
    training.user(user=user)
    training.programs()
    training.data(user=user)
    seconds = Limits(**settings.limits).download
    training.archives(user=user, mirror=settings.data_mirror, seconds=seconds)
    if own:
        training.own(programs=own)
