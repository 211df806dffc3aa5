"""modprobe: drivers that compete with NVIDIA's are kept from taking the GPU."""

from __future__ import annotations

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, Ended, drift, due, follows, holds, keeps
from gpurig.contract.values import ABSENT
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.shared.file import written

FILE = "/etc/modprobe.d/gpurig-nvidia.conf"

# nova is nouveau's successor in the kernel; it binds GPUs just the same.
COMPETING = ("nouveau", "nova_core", "nova_drm")

TEXT = "# Written by gpurig: these drivers would take the GPU before NVIDIA's does.\n" + "".join(
    f"blacklist {module}\n" for module in COMPETING
)


@keeps("driver.nouveau-blacklist")
def nouveau_blacklist() -> Commands:
    """nouveau and nova are not loaded for hardware, whoever's file says so."""
    config = known(ModprobeConfig)
    blacklisted = [] if config is ABSENT else config["blacklisted"]
    missing = [module for module in COMPETING if module not in blacklisted]
    if not missing:
        return holds(f"{', '.join(COMPETING)} are blacklisted")
    drift(
        actual=f"{', '.join(missing)} may be loaded",
        wanted=f"{', '.join(COMPETING)} blacklisted",
        will=f"write {FILE}",
        leaves="every other file of modprobe",
    )
    yield from written(FILE, TEXT)


@keeps("driver.modprobe")
def nvidia_loads() -> Commands:
    """
    modprobe loads nvidia and nvidia_uvm: no blacklist and no other line of a person is against it.

    A person wrote such a line for a reason; it is named with its place and left.
    """
    config = known(ModprobeConfig)
    against = [] if config is ABSENT else config["against"]
    if not against:
        return holds("modprobe loads NVIDIA's modules")
    due(f"NVIDIA's module is not loaded for its hardware: remove {', '.join(against)}")
    yield from ()


def loads_first() -> None:
    """End an operation where modprobe's configuration keeps NVIDIA's modules from loading."""
    config = known(ModprobeConfig)
    if config is not ABSENT and config["against"]:
        follows("driver.modprobe")
        raise Ended
