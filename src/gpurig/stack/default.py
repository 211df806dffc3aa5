"""What a host gets where rig_frameworks is not set: what computes on its hardware."""

from __future__ import annotations

from dataclasses import replace

from gpurig.contract.frameworks import DEFAULTS
from gpurig.stack.frameworks import Option, options, parsed, pythons
from gpurig.stack.model import Because
from gpurig.stack.serving import obstacle
from gpurig.stack.site import Site

NAMED = f"{', '.join(DEFAULTS[:-1])} and {DEFAULTS[-1]}"


def settled(site: Site, driver: str | None = None) -> Site:
    """
    The site with the framework that it gets, where its settings name none, and why in `default`.

    + driver: the version that is there or will be; None where it is not known

    The first of the defaults that computes on the host's GPU, or on what else it has; where none
    does, the first that has wheels.
    """
    if site.settings.frameworks is not None:
        return site
    whys: dict[str, str] = {}
    for name in DEFAULTS:
        if (why := _unfit(site, name, driver)) is None:
            return _with(site, name, _reason(site), whys)
        whys[name] = why
    having = next((name for name in DEFAULTS if options(site, parsed(name))), DEFAULTS[0])
    return _with(site, having, f"none of {NAMED} computes on the GPU; the first with wheels", whys)


def _with(site: Site, name: str, reason: str, whys: dict[str, str]) -> Site:
    rejected = tuple(f"{other}: {why}" for other, why in whys.items())
    why = Because(
        f"{name} is the default here", f"rig_frameworks is not set; {reason}", "settings", rejected
    )
    return replace(site, settings=replace(site.settings, frameworks=(name,)), default=why)


def _reason(site: Site) -> str:
    if site.settings.accelerator == "cpu" or not (site.gpus or site.others):
        return f"the first of {NAMED} that has wheels"
    return f"the first of {NAMED} that computes on the {_hardware(site)}"


def _hardware(site: Site) -> str:
    return "GPU" if site.gpus else site.others[0].name


def _unfit(site: Site, name: str, driver: str | None) -> str | None:
    """Why a default does not compute on what the host has, or None if it does."""
    found = options(site, parsed(name))
    if not found:
        return f"no wheels for Python {' or '.join(pythons(site))} on {site.platform}"
    if site.settings.accelerator == "cpu" or not (site.gpus or site.others):
        return None
    return _not_on_gpus(site, found, driver) if site.gpus else _not_on_others(site, name, found)


def _not_on_others(site: Site, name: str, found: tuple[Option, ...]) -> str | None:
    served = {row.accelerator for row in site.others if row.framework == name}
    fits = any(option.build.accelerator in served for option in found)
    return None if fits else f"it does not compute on the {_hardware(site)}"


def _not_on_gpus(site: Site, found: tuple[Option, ...], driver: str | None) -> str | None:
    whys = [(obstacle(site, option, driver), option.build.accelerator) for option in found]
    if any(why is None for why, _ in whys):
        return None
    return next((why for why, accelerator in whys if accelerator == "cuda"), whys[0][0])
