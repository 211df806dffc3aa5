"""Container images, built or loaded where they are absent or differ."""

from __future__ import annotations

from pyinfra import host

from gpurig.contract.layer import layer
from gpurig.images import recipe as recipes
from gpurig.operations import images as operations
from gpurig.operations.environments.uv import Downloads
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Images")
def images(stack: Stack, settings: Settings) -> None:
    """Each image of rig_images."""
    downloads = Downloads(settings.pypi_index, settings.proxy)
    for image in host.loop(stack.images):
        if image.file:
            operations.loaded(title=image.name, saved=recipes.saved(image.file))
            continue
        recipe = recipes.recipe(image, stack.architecture, settings.pypi_index)
        operations.built(title=image.name, recipe=recipe, downloads=downloads)
