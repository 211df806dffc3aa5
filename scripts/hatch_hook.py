"""What hatchling builds: archives carry the folders that src/gpurig's links lead to."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = {
    "deploy": "gpurig/deploy",
    "facts": "gpurig/facts",
    "inventories": "gpurig/inventories",
    "operations": "gpurig/operations",
    "tests/proofs": "gpurig/proofs",
    "workloads": "gpurig/workloads",
}


class CarriedFolders(BuildHookInterface):
    """
    Adds the root folders to a wheel, and not to an editable install.

    The table ``force-include`` does not tell them apart, so that an editable install would hold a
    second copy of each file, which nothing imports and nothing updates.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build; version is ``standard`` or ``editable``."""
        if version == "standard":
            build_data["force_include"].update(FOLDERS)
