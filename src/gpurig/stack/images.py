"""The container images: what each is built of, or where it is loaded from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpurig.settings.kinds import image_name
from gpurig.stack.environments import environment
from gpurig.stack.model import ContainerToolkit, Docker, Driver, Environment, Image
from gpurig.stack.site import Draft, Site

BASE = "python:{python}-slim"  # the official image of Docker Hub


def images(
    site: Site,
    draft: Draft,
    docker: Docker | None,
    toolkit: ContainerToolkit | None,
    driver: Driver | None,
    environments: Sequence[Environment],
) -> tuple[Image, ...]:
    """
    The images of rig_images; none with the reason in the draft.

    What is installed in an image is what the host's own environment has, by the same lock.
    """
    wished = site.settings.images
    if not wished:
        return ()
    if draft.is_undecided("docker"):
        draft.undecided("images", "they need Docker")
        return ()
    if docker is None:
        draft.leave_out("images", "nothing runs images without Docker")
        return ()
    found = []
    for given in wished:
        name = image_name(given)
        if given.startswith("/"):
            draft.chose(f"image {name}", "a saved image", "rig_images")
            found.append(Image(name, file=given))
            continue
        inside = _inside(site, draft, name, toolkit, driver, environments)
        if inside is None:
            place = f"{site.distribution.name}'s Python on {site.platform}"
            draft.leave_out("images", f"{name} has no wheels for {place}")
            continue
        base = site.settings.base_image or BASE.format(python=inside.python)
        why = (
            "the base is rig_base_image" if site.settings.base_image else "the base is the default"
        )
        draft.chose(f"image {name} on {base}", f"rig_images asks for it; {why}", "rig_images")
        found.append(Image(name, base=base, environment=inside))
    return tuple(found)


def _inside(
    site: Site,
    draft: Draft,
    name: str,
    toolkit: ContainerToolkit | None,
    driver: Driver | None,
    environments: Sequence[Environment],
) -> Environment | None:
    """The host's own environment where it has one that containers can use, else one like it."""
    for own in environments:
        if own.name == name and (own.accelerator != "cuda" or toolkit):
            return own
    if not toolkit:  # containers see no GPU without it
        site = replace(site, settings=replace(site.settings, accelerator="cpu"))
    return environment(site, draft, name, driver)
