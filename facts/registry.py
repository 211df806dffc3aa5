"""All facts by their key: what `gpurig facts` shows, and what saved facts must look like."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from gpurig.contract.fact import Fact, read
from gpurig.contract.values import as_json
from gpurig.facts.container_toolkit.cdi import CdiSpecs, NvmlGpus
from gpurig.facts.container_toolkit.toolkit import ToolkitConfig, ToolkitPackages
from gpurig.facts.cuda import CudaToolkits
from gpurig.facts.cudnn import CudnnLibraries
from gpurig.facts.docker.daemon_json import DaemonConfigShown
from gpurig.facts.docker.engine import DockerInfo, DockerInstalled, RunningContainers
from gpurig.facts.driver.dkms import DkmsFailures, DkmsStatus
from gpurig.facts.driver.initramfs import Initramfs
from gpurig.facts.driver.mig import Mig
from gpurig.facts.driver.modprobe import ModprobeConfig
from gpurig.facts.driver.module import DriverLoaded, DriverUserSpace, ModuleForNextBoot
from gpurig.facts.driver.mok import Mok
from gpurig.facts.driver.packages import DriverInstalled
from gpurig.facts.driver.secure_boot import SecureBoot
from gpurig.facts.environments.environment import Environments
from gpurig.facts.environments.frameworks import Frameworks
from gpurig.facts.environments.pythons import Pythons
from gpurig.facts.host.account import Account
from gpurig.facts.host.disk import Disk
from gpurig.facts.host.distribution import Distribution
from gpurig.facts.host.machine import Machine
from gpurig.facts.host.memory import Memory
from gpurig.facts.host.pci import Accelerators, Gpus, NvSwitches
from gpurig.facts.host.proxies import Proxies
from gpurig.facts.host.reboot import BootId, RebootRequired
from gpurig.facts.host.service_manager import ServiceManager
from gpurig.facts.host.virtualization import Virtualization
from gpurig.facts.kernel.grub import Grub
from gpurig.facts.kernel.kernels import Architecture, Kernel
from gpurig.facts.packages.apt import Keyrings, SourcesShown
from gpurig.facts.packages.dnf import DnfModules, DnfRepositoriesShown
from gpurig.facts.packages.dpkg import HalfDone, Holds, Unmet
from gpurig.facts.packages.package_manager import PackageManager
from gpurig.facts.packages.rpm import RpmKeys

# In the order in which they are shown.
FACTS: dict[str, type[Fact[Any]]] = {
    "machine": Machine,
    "os": Distribution,
    "architecture": Architecture,
    "kernel": Kernel,
    "virtualization": Virtualization,
    "grub": Grub,
    "secure_boot": SecureBoot,
    "mok": Mok,
    "service_manager": ServiceManager,
    "gpus": Gpus,
    "nvswitches": NvSwitches,
    "accelerators": Accelerators,
    "pythons": Pythons,
    "user": Account,
    "memory": Memory,
    "disk": Disk,
    "proxies": Proxies,
    "reboot_required": RebootRequired,
    "boot_id": BootId,
    "package_manager": PackageManager,
    "half_configured": HalfDone,
    "unmet_dependencies": Unmet,
    "holds": Holds,
    "apt_sources": SourcesShown,
    "keyrings": Keyrings,
    "dnf_repositories": DnfRepositoriesShown,
    "dnf_modules": DnfModules,
    "rpm_keys": RpmKeys,
    "dkms": DkmsStatus,
    "dkms_failures": DkmsFailures,
    "modprobe": ModprobeConfig,
    "initramfs": Initramfs,
    "environments": Environments,
    "frameworks": Frameworks,
    "driver_installed": DriverInstalled,
    "driver_next_boot": ModuleForNextBoot,
    "driver_loaded": DriverLoaded,
    "driver_libraries": DriverUserSpace,
    "nvml_gpus": NvmlGpus,
    "mig": Mig,
    "cuda_toolkits": CudaToolkits,
    "cudnn_libraries": CudnnLibraries,
    "docker_installed": DockerInstalled,
    "docker": DockerInfo,
    "docker_config": DaemonConfigShown,
    "containers": RunningContainers,
    "container_toolkit": ToolkitPackages,
    "toolkit_config": ToolkitConfig,
    "cdi_specs": CdiSpecs,
}


def look() -> dict[str, Any]:
    """Every fact of `FACTS` on the current host, as JSON by its key."""
    return {key: as_json(read(fact)) for key, fact in FACTS.items()}


def shape(fact: type[Fact[Any]]) -> Any:
    """The type of a fact's values, as its class says: ``list[PciDevice]``."""
    for kind in fact.__mro__:
        for base in vars(kind).get("__orig_bases__", ()):
            if isinstance(origin := get_origin(base), type) and issubclass(origin, Fact):
                return get_args(base)[0]
    raise TypeError(f"{fact.__name__} does not say what its values are")
