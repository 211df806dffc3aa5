"""modprobe: drivers that compete with NVIDIA's are kept from taking the GPU."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import FileUploadCommand, StringCommand

from gpurig.contract.fact import read
from gpurig.contract.promise import drift, holds, keeps, unknown
from gpurig.contract.values import Absent, Unknown
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.operations.shared.file import written

FILE = "/etc/modprobe.d/gpurig-nvidia.conf"

# nova is nouveau's successor in the kernel; it binds GPUs just the same.
COMPETING = ("nouveau", "nova_core", "nova_drm")

TEXT = "# Written by gpurig: these drivers would take the GPU before NVIDIA's does.\n" + "".join(
    f"blacklist {module}\n" for module in COMPETING
)


@keeps("driver.nouveau-blacklist")
def nouveau_blacklist() -> Generator[StringCommand | FileUploadCommand, None, None]:
    """nouveau and nova are not loaded for hardware, whoever's file says so."""
    config = read(ModprobeConfig)
    if isinstance(config, Unknown):
        return unknown(config.reason)
    blacklisted = [] if isinstance(config, Absent) else config["blacklisted"]
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
