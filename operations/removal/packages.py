"""Packages of a layer: removed only where the layer is named, and named where they stay."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps, left_out
from gpurig.facts.docker.engine import RestartPolicies
from gpurig.facts.removal.packages import LAYERS, InstalledLike
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT
from gpurig.operations.shared.daemon_json import stopped
from gpurig.operations.shared.packages import DNF, movable
from gpurig.operations.shared.words import few


@keeps("removal.packages.{layer}")
def packages(layer: str, named: bool) -> Commands:
    """
    The packages of a layer that was named are gone; their data and their edited files stay.

    + layer: ``driver``, ``cuda``, ``docker``, ``container-toolkit``
    + named: whether the user named it, else its packages stay
    """
    found = known(InstalledLike, globs=LAYERS[layer])
    names = list(found["packages"])
    if not names:
        return holds("none")
    told = few([f"{name} {version}" for name, version in found["packages"].items()], 2)
    if not named:
        return left_out(
            f"removal.packages.{layer}",
            f"gpurig leaves {told} installed; --packages {layer} removes the packages",
        )
    movable(found["held"])
    besides = [name for name in found["takes"] if name not in names]
    with_them = f", and with them {', '.join(besides)}" if besides else ""
    stops = _stopping() if layer == "docker" else ""
    drift(
        actual="not removed",
        wanted="gone",
        will=f"remove {', '.join(names)}{with_them}" + (f", and stop {stops}" if stops else ""),
        leaves="their data and configuration",
    )
    words = map(QuoteString, names)
    if found["manager"] == "apt":
        yield StringCommand(f"{ENVIRONMENT} {APT} remove", *words)
    else:
        yield StringCommand(f"{DNF} --noautoremove remove", *words)


def _stopping() -> str:
    policies = read(RestartPolicies)
    return stopped(policies) if isinstance(policies, dict) and policies else ""
