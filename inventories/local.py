"""
This machine alone: what ``./gpurig up`` takes when nothing else is named.

Copy it to give this machine settings of its own; inventories/lab.py shows all there are.
"""

from typing import Any

this_machine: list[tuple[str, dict[str, Any]]] = [
    (
        "@local",
        {
            # "rig_users": ["ada"],  # who may use Docker; workloads run as the first of them
        },
    ),
]
