"""Environments that gpurig made and that nobody wants any more: named, deleted on request."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.environments.records import Leftovers
from gpurig.operations.environments.building import RECORD

GB = 1000**3


@keeps("environments.leftovers")
def leftovers(root: str, wanted: tuple[str, ...], prune: bool) -> Commands:
    """
    Environments that the settings no longer name stay until they are asked away.

    + root: the folder of the environments; wanted: names of those that stay
    + prune: whether the others are deleted

    Only what has a record of gpurig's counts: an environment of the user's own, in the same folder
    or anywhere, is never touched.
    """
    found = known(Leftovers, root=root, wanted=wanted)
    if found is ABSENT:
        return holds("none")
    names = ", ".join(found)
    size = f"{sum(found.values()) / GB:.1f} GB"
    if not prune:
        return holds(f"`up --prune` can delete {names} ({size})")
    drift(actual=f"{names} ({size}), not in rig_frameworks", wanted="none", will=f"delete {names}")
    for name in found:
        # The record goes last: what is cut off is deleted by the next --prune.
        path = shlex.quote(f"{root}/{name}")
        yield StringCommand(
            f"cd {path} && find . -mindepth 1 ! -path ./{RECORD} -delete && rm -r {path}"
        )
