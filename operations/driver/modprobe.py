"""modprobe: drivers that compete with NVIDIA's are kept from taking the GPU."""

from __future__ import annotations

from gpurig.contract.known import known
from gpurig.contract.promise import Commands, drift, holds, keeps
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
