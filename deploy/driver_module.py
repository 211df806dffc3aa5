"""What the driver's packages brought works now and after every boot, whichever tool brought it."""

from __future__ import annotations

from gpurig.contract.layer import layer
from gpurig.contract.promise import left_out
from gpurig.operations.driver import (
    boot_kernel,
    fabric_manager,
    firmware,
    initramfs,
    libraries,
    modprobe,
    module_signature,
    nodes,
)
from gpurig.operations.driver import module as nvidia
from gpurig.operations.workloads import USER
from gpurig.settings.table import Settings
from gpurig.stack.model import Stack


@layer("Driver's module")
def driver_module(stack: Stack, settings: Settings) -> None:
    """Module, boot default, firmware, signature, initramfs, what is loaded, its services."""
    wanted = stack.driver
    assert wanted is not None
    libraries.libraries()
    modprobe.nvidia_loads()
    if wanted.build:
        boot = settings.boot_kernel
        nvidia.module_for_next_boot(dkms=wanted.dkms, flavour=wanted.flavour, boot=boot)
        boot_kernel.boot_kernel(dkms=wanted.dkms, boot=boot)
        architectures = [gpu.architecture for gpu in stack.gpus]
        firmware.firmware(needed=firmware.needs_gsp(wanted.flavour, architectures))
        initramfs.initramfs()
    if stack.assumed:
        left_out("driver.module-signature", "assumed hardware")
        left_out("driver.loaded", "assumed hardware")
    else:
        module_signature.module_signature(dkms=wanted.dkms)
        nvidia.loaded()
    starts, unmask = not stack.assumed, "driver" in settings.components
    nvidia.persistenced(starts=starts, unmask=unmask)
    users = settings.users or (USER,)
    nodes.nodes_at_boot(users=users)
    nodes.device_nodes(users=users, assumed=stack.assumed)
    if wanted.fabric_manager and wanted.stream is None:
        package = wanted.fabric_manager
        fabric_manager.fabric_manager(package=package, starts=starts, unmask=unmask)
    elif wanted.fabric_manager:
        left_out("driver.fabric-manager", "gpurig does not set it up with dnf's module streams yet")
