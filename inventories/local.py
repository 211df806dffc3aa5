"""
This machine alone: the inventory of ``./gpurig up`` without a target.

Copy it to give this machine its own settings. inventories/lab.py shows all settings.
"""

from typing import Any

this_machine: list[tuple[str, dict[str, Any]]] = [
    (
        "@local",
        {
            # "rig_users": ["ada"],  # users who may use Docker; workloads run as the first
        },
    ),
]
